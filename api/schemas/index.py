"""The routes."""

from marshmallow import Schema, fields


class RouteSchema(Schema):
    """One route of this API."""

    path = fields.String(metadata={"example": "/data"})
    summary = fields.String(metadata={"example": "List assets"})
