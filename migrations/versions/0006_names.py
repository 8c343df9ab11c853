"""Cameras and people are names at a site, which data sets may share; what vector stores are told of
an image has another form.

Data sets of before keep their cameras and people to themselves: each becomes a site of its name.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "site",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
    )
    op.execute("INSERT INTO site (id, name) SELECT id, name FROM dataset")
    op.execute("ALTER TABLE dataset ADD COLUMN site_id INTEGER REFERENCES site (id)")
    op.execute("UPDATE dataset SET site_id = id")
    op.add_column("dataset", sa.Column("layout", sa.String))
    op.add_column("encoder", sa.Column("payloads", sa.Integer, nullable=False, server_default="1"))

    if op.get_bind().dialect.name == "postgresql":  # where no catalog is so old: nothing to keep
        for table in ("camera", "identity"):
            op.drop_column(table, "number")
            op.drop_column(table, "dataset_id")
            op.add_column(
                table,
                sa.Column("site_id", sa.Integer, sa.ForeignKey("site.id"), nullable=False),
            )
            op.add_column(table, sa.Column("name", sa.String, nullable=False))
            op.create_unique_constraint(None, table, ["site_id", "name"])
        return
    # SQLite cannot drop what a constraint names, so both tables are made anew under their names.
    for table in ("camera", "identity"):
        op.create_table(
            f"{table}_of_site",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("site_id", sa.Integer, sa.ForeignKey("site.id"), nullable=False),
            sa.Column("name", sa.String, nullable=False),
            sa.UniqueConstraint("site_id", "name"),
        )
        op.execute(
            f"INSERT INTO {table}_of_site (id, site_id, name)"
            f" SELECT id, dataset_id, CAST(number AS VARCHAR) FROM {table}"
        )
        op.drop_table(table)
        op.execute(f"ALTER TABLE {table}_of_site RENAME TO {table}")
