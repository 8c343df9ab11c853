"""Camera means, beside the expanded vectors that are made with them. Those that were made without
are to be made anew."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("expansion", sa.Column("means", sa.LargeBinary))
    op.execute(sa.text("UPDATE expansion SET current = :no").bindparams(no=False))
