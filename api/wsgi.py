"""The WSGI application that gunicorn imports, configured from the environment."""

import os
from pathlib import Path

from api.app import create_app
from shared.logs import configure_logs
from shared.settings import Settings

settings = Settings.from_env(os.environ, Path(".env"))
configure_logs(settings.log_level, settings.log_format)
app = create_app(settings)
