"""The gallery as a whole: ``/api/cameras``, ``/api/status``, ``/api/calibration``; who searched for
whom, and forgetting, for those who govern it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query

from reidsearch.documents.audits import AuditDocument, audit_documents
from reidsearch.documents.calibrations import CalibrationDocument, calibration_document
from reidsearch.documents.cameras import CameraDocument, camera_documents
from reidsearch.documents.forgetting import ForgottenDocument, SelectedDocument, selected_document
from reidsearch.documents.statuses import StatusDocument
from reidsearch.forgetting.removal import Forgotten
from reidsearch.service.parts import Governing, Searching, only
from reidsearch.service.replies import Document, described

router = APIRouter(prefix="/api", tags=["gallery"])

FORGET = ("identity", "camera", "before", "dataset", "site", "dry_run")


@router.get(
    "/cameras",
    responses=described(list[CameraDocument], "By site, then by name."),
    response_class=Document,
)
async def cameras(asking: Searching) -> Document:
    """The cameras that have images."""
    return Document(camera_documents(await asking.run(asking.gallery.cameras)))


@router.get(
    "/status",
    responses=described(StatusDocument, "As `reidsearch status --json` tells it."),
    response_class=Document,
)
async def status(asking: Searching) -> Document:
    """What is stored, and which settings are in force."""
    return Document((await asking.run(asking.gallery.status)).document())


@router.get(
    "/calibration",
    responses=described(CalibrationDocument, "As `reidsearch calibrate --json` told it."),
    response_class=Document,
)
async def calibration(asking: Searching) -> Document:
    """What was learned of times between cameras, and of scores."""
    return Document(calibration_document(await asking.run(asking.gallery.calibration)))


@router.get(
    "/audit",
    responses=described(list[AuditDocument], "The oldest first."),
    response_class=Document,
    dependencies=[Depends(only("since"))],
)
async def audit(
    asking: Governing,
    since: Annotated[str | None, Query(description="Only searches at this time or later.")] = None,
) -> Document:
    """Who searched for whom."""
    entries = await asking.run(asking.gallery.audit, since=since or None)
    return Document(audit_documents(entries))


@router.post(
    "/forget",
    responses=described(
        ForgottenDocument | SelectedDocument,
        "What is gone; of a dry run, what would be.",
    ),
    response_class=Document,
    dependencies=[Depends(only(*FORGET))],
)
async def forget(
    asking: Governing,
    identity: Annotated[str | None, Form(description="A person.")] = None,
    camera: Annotated[str | None, Form(description="All images of a camera.")] = None,
    before: Annotated[str | None, Form(description="All that was taken before this time.")] = None,
    dataset: Annotated[
        str | None, Form(description="All of a data set; of the above, its alone.")
    ] = None,
    site: Annotated[str | None, Form(description="Of these, one site's alone.")] = None,
    dry_run: Annotated[bool, Form(description="Only tell which images these are.")] = False,
) -> Document:
    """Remove the images that fit everything given, down to the bytes in the stores' files; they
    leave all answers at once."""

    def remove() -> Forgotten:
        return asking.gallery.forget(
            identity=identity or None,
            camera=camera or None,
            before=before or None,
            dataset=dataset or None,
            site=site or None,
            dry_run=dry_run,
        )

    done = await asking.run(remove)
    return Document(selected_document(done) if dry_run else done.document())
