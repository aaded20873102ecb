"""Recipes: how a program's log is made to say what must be metered, and how the agent reads it."""

from __future__ import annotations

from typing import Final

from flowtally.agents.recipes.apache import APACHE
from flowtally.agents.recipes.caddy import CADDY
from flowtally.agents.recipes.envoy import ENVOY
from flowtally.agents.recipes.haproxy import HAPROXY, HAPROXY_SYSLOG
from flowtally.agents.recipes.nginx import NGINX, NGINX_STREAM
from flowtally.agents.recipes.recipe import Recipe, entry_text, shown
from flowtally.agents.recipes.squid import SQUID
from flowtally.agents.recipes.threeproxy import THREEPROXY
from flowtally.agents.recipes.traefik import TRAEFIK

_ALL: Final = (SQUID, NGINX, NGINX_STREAM, APACHE, HAPROXY, HAPROXY_SYSLOG, CADDY, ENVOY, TRAEFIK, THREEPROXY)
RECIPES: Final[dict[str, Recipe]] = {one.name: one for one in _ALL}

__all__ = ["RECIPES", "Recipe", "entry_text", "shown"]
