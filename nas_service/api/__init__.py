"""REST under /api/v1: one router a resource. Handlers call the service and hold no rules of their own."""

from starlette.convertors import IntegerConvertor, register_url_convertor

PREFIX = "/api/v1"


class RowConvertor(IntegerConvertor):
    """A row's number in a path; what no number can be is no address."""

    regex = "[0-9]{1,19}"


register_url_convertor("row", RowConvertor())
