"""Places: what each product has, of countries, states, cities and autonomous systems."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "place_catalogues",
        sa.Column("product", WORDS, nullable=False),
        sa.Column("countries", sa.BigInteger, nullable=False),
        sa.Column("states", sa.BigInteger, nullable=False),
        sa.Column("cities", sa.BigInteger, nullable=False),
        sa.Column("asns", sa.BigInteger, nullable=False),
        sa.Column("digest", WORDS, nullable=False),
        sa.Column("replaced_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("product", name="pk_place_catalogues"),
        sa.CheckConstraint("length(product) BETWEEN 1 AND 256", name="ck_place_catalogues_product"),
        sa.CheckConstraint(
            "countries >= 1 AND states >= 0 AND cities >= 0 AND asns >= 0", name="ck_place_catalogues_counts"
        ),
    )
    op.create_table(
        "places",
        sa.Column("product", WORDS, nullable=False),
        sa.Column("kind", WORDS, nullable=False),
        sa.Column("key", WORDS, nullable=False),
        sa.Column("country", WORDS, nullable=False),
        sa.Column("state", WORDS, nullable=False),
        sa.Column("code", WORDS, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.PrimaryKeyConstraint("product", "kind", "key", name="pk_places"),
        sa.ForeignKeyConstraint(["product"], ["place_catalogues.product"], name="fk_places_product"),
        sa.CheckConstraint("kind IN ('country', 'state', 'city', 'asn')", name="ck_places_kind"),
        sa.CheckConstraint(
            "length(country) = 2 AND length(code) >= 1 AND length(name) BETWEEN 1 AND 128", name="ck_places_texts"
        ),
        sa.CheckConstraint("kind = 'city' OR state = ''", name="ck_places_state"),
        sa.CheckConstraint(
            "key = CASE kind WHEN 'country' THEN country WHEN 'city' THEN country || '/' || state || '/' || code "
            "ELSE country || '/' || code END",
            name="ck_places_key",
        ),
        sa.CheckConstraint("kind <> 'country' OR code = country", name="ck_places_country"),
    )
