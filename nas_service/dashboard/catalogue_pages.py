"""The pages of what there is to search: families and data sets."""

from fastapi import APIRouter, Response

from nas_service.api.dependencies import TheService
from nas_service.dashboard import dataset_contents, family_contents
from nas_service.dashboard.rendering import PageRoute, render

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/families")
def families(service: TheService) -> Response:
    return render("families.html", page="families", families=family_contents.families(service))


@router.get("/families/{name}")
def family(service: TheService, name: str) -> Response:
    return render("family.html", page="families", **family_contents.family(service.family(name)))


@router.get("/datasets")
def datasets(service: TheService) -> Response:
    return render("datasets.html", page="datasets", datasets=service.datasets())


@router.get("/datasets/{name}")
def dataset(service: TheService, name: str) -> Response:
    found = dataset_contents.dataset(service, service.dataset(name))
    return render("dataset.html", page="datasets", **found)
