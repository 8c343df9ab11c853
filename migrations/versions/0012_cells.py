"""How derived data was made: the cells that neighbours of expanded vectors were looked for in, and
for what was learned, whether from all pairs, and of how many images scores were counted."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("expansion", sa.Column("cells", sa.LargeBinary))
    op.add_column("calibration", sa.Column("pairing", sa.String))
    op.add_column("calibration", sa.Column("sample", sa.Integer))
