"""The first chain head, and triggers that refuse to change the append-only tables.

PostgreSQL refuses UPDATE always and DELETE unless the transaction has set ``sigmatrader.retention`` to ``on``, which only
the retention command does (``SET LOCAL``: it ends with the transaction). SQLite has no such setting and its ``flush``
empties tables by DELETE, so there the trigger refuses UPDATE; a DELETE is refused by the models and shown by the chain.
"""

from django.db import migrations

TABLES = (
    "audit_snapshot",
    "audit_decisiontrace",
    "audit_tracelink",
    "audit_traceclosing",
    "audit_traceevent",
    "audit_systemevent",
    "audit_exceptionnote",
)

FUNCTION = """
CREATE OR REPLACE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('sigmatrader.retention', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$
"""


def make_head(apps, schema_editor):
    apps.get_model("audit", "ChainHead").objects.using(schema_editor.connection.alias).get_or_create(
        id=1, defaults={"seq": 0, "hash": "0" * 64, "seal": ""}
    )


def add_triggers(apps, schema_editor):
    vendor = schema_editor.connection.vendor
    if vendor == "postgresql":
        schema_editor.execute(FUNCTION, params=None)  # None: its % signs are not placeholders
        for table in TABLES:
            schema_editor.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION audit_append_only()"
            )
    elif vendor == "sqlite":
        for table in TABLES:
            schema_editor.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def drop_triggers(apps, schema_editor):
    vendor = schema_editor.connection.vendor
    for table in TABLES:
        on = f" ON {table}" if vendor == "postgresql" else ""
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {table}_append_only{on}")
    if vendor == "postgresql":
        schema_editor.execute("DROP FUNCTION IF EXISTS audit_append_only()")


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [
        migrations.RunPython(make_head, migrations.RunPython.noop, elidable=False),
        migrations.RunPython(add_triggers, drop_triggers, elidable=False),
    ]
