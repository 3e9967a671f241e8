"""A snapshot refers to its content by hash and no longer holds the text itself.

SQLite makes a changed table anew, without its triggers: they are put back. The content table gets its own.
"""

import django.db.models.deletion
from django.db import migrations, models

CONTENT, SNAPSHOT = "audit_snapshotcontent", "audit_snapshot"


def put_on(schema_editor, table):
    vendor = schema_editor.connection.vendor
    if vendor == "postgresql":
        schema_editor.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION audit_append_only()"
        )
    elif vendor == "sqlite":
        schema_editor.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


def take_off(schema_editor, table):
    on = f" ON {table}" if schema_editor.connection.vendor == "postgresql" else ""
    schema_editor.execute(f"DROP TRIGGER IF EXISTS {table}_append_only{on}")


def before(apps, schema_editor):
    take_off(schema_editor, SNAPSHOT)


def after(apps, schema_editor):
    put_on(schema_editor, SNAPSHOT)
    put_on(schema_editor, CONTENT)


def before_back(apps, schema_editor):
    take_off(schema_editor, SNAPSHOT)
    take_off(schema_editor, CONTENT)


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_snapshot_content")]

    operations = [
        migrations.RunPython(before, migrations.RunPython.noop, elidable=False),
        migrations.AlterField("snapshot", "document", models.TextField(default="")),
        migrations.RemoveField("snapshot", "document"),
        migrations.RenameField("snapshot", "hash", "content"),
        migrations.AlterField(
            "snapshot",
            "content",
            models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="snapshots", to="audit.snapshotcontent"
            ),
        ),
        migrations.RunPython(after, before_back, elidable=False),
    ]
