"""Contents of snapshots in a table of their own, each once under its hash, filled from the snapshots there are."""

from django.db import migrations, models

COPY = (
    "INSERT INTO audit_snapshotcontent (hash, document) "
    "SELECT hash, MIN(document) FROM audit_snapshot GROUP BY hash"
)
FILL = (
    "UPDATE audit_snapshot SET document = "
    "(SELECT c.document FROM audit_snapshotcontent c WHERE c.hash = audit_snapshot.hash)"
)


TRIGGER = {
    "postgresql": (
        "CREATE TRIGGER audit_snapshot_append_only BEFORE UPDATE OR DELETE ON audit_snapshot "
        "FOR EACH ROW EXECUTE FUNCTION audit_append_only()",
    ),
    "sqlite": (
        "CREATE TRIGGER audit_snapshot_append_only BEFORE UPDATE ON audit_snapshot "
        "BEGIN SELECT RAISE(ABORT, 'audit_snapshot is append-only'); END",
    ),
}


def copy(apps, schema_editor):
    schema_editor.execute(COPY)


def fill_back(apps, schema_editor):
    """After the way back of 0004: the trigger is off the table then, and ``document`` is there again, empty."""
    schema_editor.execute(FILL)
    for statement in TRIGGER.get(schema_editor.connection.vendor, ()):
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_append_only")]

    operations = [
        migrations.CreateModel(
            name="SnapshotContent",
            fields=[
                ("hash", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("document", models.TextField()),
            ],
            options={"abstract": False},
        ),
        migrations.RunPython(copy, fill_back, elidable=False),
    ]
