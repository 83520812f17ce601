"""What the route takes that shows how the prices of some assets moved."""

from api.parameters import CommaList
from api.parameters.assets import AssetParameters

MOST_ASSETS = 100


class TrendsParameters(AssetParameters):
    """Parameters of `GET /trends`."""

    assets = CommaList(
        most=MOST_ASSETS,
        required=True,
        metadata={
            "description": "The slugs of 1 to 100 assets, which are shown in this order.",
            "example": ["bitcoin", "ethereum"],
        },
    )
