"""What the pages are registered on."""

from flask import Blueprint

from api.middleware.keys import PAGES

bp = Blueprint("dashboard", __name__, url_prefix=PAGES)
