"""Parameters of the route that shows price trends of assets."""

from api.parameters import CommaList
from api.parameters.assets import AssetParameters

MOST_ASSETS = 100


class TrendsParameters(AssetParameters):
    """Parameters of `GET /trends`."""

    assets = CommaList(
        most=MOST_ASSETS,
        required=True,
        metadata={
            "description": "The slugs of 1 to 100 assets. The response has them in this order.",
            "example": ["bitcoin", "ethereum"],
        },
    )
