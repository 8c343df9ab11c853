"""What many machines need that share a catalog: which worker takes an image in, on whose disk a
data set is, small pictures of what other machines cannot read.

PostgreSQL gets wider numbers than 32 bits where SQLite has them anyway, and texts in the order of
their bytes, as SQLite sorts them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

SORTED = {"dataset": "name", "image": "path", "site": "name", "camera": "name", "identity": "name"}


def upgrade() -> None:
    op.add_column("embedding", sa.Column("worker", sa.Integer))
    op.add_column("dataset", sa.Column("machine", sa.String))
    op.create_table(
        "thumbnail",
        sa.Column("image_id", sa.BigInteger, sa.ForeignKey("image.id"), primary_key=True),
        sa.Column("picture", sa.LargeBinary, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        for column in ("sequence", "frame", "size"):
            op.alter_column("image", column, type_=sa.BigInteger)
        for table, column in SORTED.items():
            op.alter_column(table, column, type_=sa.String(collation="C"))
