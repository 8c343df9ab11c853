"""An index of images by camera: which cameras have images is asked at every search, and without it
all images are gone through for that."""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_index("ix_image_camera_id", "image", ["camera_id"])
