"""Every table, as the first release has it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "mark",
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("value", AutoString(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_mark")),
    )
    op.create_table(
        "note",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", AutoString(), nullable=False),
        sa.Column("job_id", AutoString(), nullable=True),
        sa.Column("team_id", AutoString(), nullable=False),
        sa.Column("kind", AutoString(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("by", AutoString(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_note")),
        sa.UniqueConstraint("key", name="uq_note_key"),
    )
    op.create_index("ix_note_job", "note", ["job_id"])

    op.create_table(
        "seen",
        sa.Column("key", AutoString(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_seen")),
    )
    op.create_table(
        "team",
        sa.Column("id", AutoString(), nullable=False),
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("zone", AutoString(), nullable=False),
        sa.Column("cap", sa.BigInteger(), nullable=True),
        sa.Column("auto_approve", sa.BigInteger(), nullable=False),
        sa.Column("longest_minutes", sa.Integer(), nullable=False),
        sa.Column("share_percent", sa.Integer(), nullable=False),
        sa.Column("frozen", sa.Boolean(), nullable=False),
        sa.Column("leads", sa.JSON(), nullable=False),
        sa.Column("lead_group", AutoString(), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_team")),
    )
    op.create_table(
        "channel",
        sa.Column("id", AutoString(), nullable=False),
        sa.Column("team_id", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("fk_channel_team_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channel")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", AutoString(), nullable=False),
        sa.Column("note_id", sa.Integer(), nullable=True),
        sa.Column("job_id", AutoString(), nullable=True),
        sa.Column("kind", AutoString(), nullable=False),
        sa.Column("channel", AutoString(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("state", AutoString(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("not_before", UTCDateTime(), nullable=True),
        sa.Column("ts", AutoString(), nullable=True),
        sa.Column("error", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(["note_id"], ["note.id"], name=op.f("fk_outbox_note_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("key", name="uq_outbox_key"),
    )
    op.create_index("ix_outbox_state", "outbox", ["state"])

    op.create_table(
        "period",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team_id", AutoString(), nullable=False),
        sa.Column("month", AutoString(), nullable=False),
        sa.Column("cap", sa.BigInteger(), nullable=False),
        sa.Column("granted", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("alerted", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("fk_period_team_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_period")),
        sa.UniqueConstraint("team_id", "month", name="uq_period_team_month"),
    )
    op.create_table(
        "entry",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", AutoString(), nullable=False),
        sa.Column("period_id", sa.Integer(), nullable=False),
        sa.Column("job_id", AutoString(), nullable=False),
        sa.Column("person", AutoString(), nullable=False),
        sa.Column(
            "kind", sa.Enum("GRANT", "HOLD", "RELEASE", "REVOKE", "CHARGE", "OVERRUN", name="entrykind"), nullable=False
        ),
        sa.Column("micros", sa.BigInteger(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("note", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(["period_id"], ["period.id"], name=op.f("fk_entry_period_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entry")),
        sa.UniqueConstraint("key", name="uq_entry_key"),
    )
    op.create_index("ix_entry_job", "entry", ["job_id"])
    op.create_index("ix_entry_period", "entry", ["period_id"])

    op.create_table(
        "job",
        sa.Column("id", AutoString(), nullable=False),
        sa.Column("delivery", AutoString(), nullable=False),
        sa.Column("team_id", AutoString(), nullable=False),
        sa.Column("channel", AutoString(), nullable=False),
        sa.Column("person", AutoString(), nullable=False),
        sa.Column("notify", sa.JSON(), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "REQUESTED",
                "AWAITING_APPROVAL",
                "QUEUED",
                "PROVISIONING",
                "RUNNING",
                "STOPPING",
                "SUCCEEDED",
                "FAILED",
                "CANCELLED",
                "TIMED_OUT",
                "DENIED",
                "EXPIRED",
                name="jobstate",
            ),
            nullable=False,
        ),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("source", sa.JSON(), nullable=True),
        sa.Column("spec", sa.JSON(), nullable=True),
        sa.Column("image_digest", AutoString(), nullable=True),
        sa.Column("offer", sa.JSON(), nullable=True),
        sa.Column("rate_ceiling", sa.BigInteger(), nullable=True),
        sa.Column("hold", sa.BigInteger(), nullable=False),
        sa.Column("period_id", sa.Integer(), nullable=True),
        sa.Column("needs_lead", sa.JSON(), nullable=False),
        sa.Column("asked_at", UTCDateTime(), nullable=True),
        sa.Column("reminded", sa.Integer(), nullable=False),
        sa.Column("decided_by", AutoString(), nullable=True),
        sa.Column("decided_at", UTCDateTime(), nullable=True),
        sa.Column("decision_note", AutoString(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("deadline", UTCDateTime(), nullable=True),
        sa.Column("warned", sa.Boolean(), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=True),
        sa.Column("stop_reason", AutoString(), nullable=True),
        sa.Column("stop_by", AutoString(), nullable=True),
        sa.Column("stopping_at", UTCDateTime(), nullable=True),
        sa.Column("finished_at", UTCDateTime(), nullable=True),
        sa.Column("charged", sa.BigInteger(), nullable=True),
        sa.Column("error", AutoString(), nullable=False),
        sa.Column("stage", AutoString(), nullable=False),
        sa.Column("stage_note", AutoString(), nullable=False),
        sa.Column("stage_at", UTCDateTime(), nullable=True),
        sa.Column("step", sa.Integer(), nullable=True),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("eta_at", UTCDateTime(), nullable=True),
        sa.Column("loss", sa.Float(), nullable=True),
        sa.Column("gpu_seen", AutoString(), nullable=False),
        sa.Column("outcome", sa.JSON(), nullable=True),
        sa.Column("heard_at", UTCDateTime(), nullable=True),
        sa.Column("thread_ts", AutoString(), nullable=True),
        sa.Column("not_before", UTCDateTime(), nullable=True),
        sa.Column("rerun_of", AutoString(), nullable=True),
        sa.ForeignKeyConstraint(["period_id"], ["period.id"], name=op.f("fk_job_period_id")),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("fk_job_team_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint("delivery", name="uq_job_delivery"),
    )
    op.create_index("ix_job_state", "job", ["state"])
    op.create_index("ix_job_thread", "job", ["channel", "thread_ts"])

    op.create_table(
        "attempt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", AutoString(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("launch_key", AutoString(), nullable=False),
        sa.Column(
            "state", sa.Enum("INTENT", "LAUNCHED", "UP", "ENDING", "GONE", "NEVER", name="attemptstate"), nullable=False
        ),
        sa.Column("provider", AutoString(), nullable=False),
        sa.Column("offer", sa.JSON(), nullable=False),
        sa.Column("micros_per_hour", sa.BigInteger(), nullable=False),
        sa.Column("deadline", UTCDateTime(), nullable=False),
        sa.Column("instance_id", AutoString(), nullable=True),
        sa.Column("region", AutoString(), nullable=False),
        sa.Column("intent_at", UTCDateTime(), nullable=False),
        sa.Column("called_at", UTCDateTime(), nullable=True),
        sa.Column("launched_at", UTCDateTime(), nullable=True),
        sa.Column("up_at", UTCDateTime(), nullable=True),
        sa.Column("end_asked_at", UTCDateTime(), nullable=True),
        sa.Column("end_accepted_at", UTCDateTime(), nullable=True),
        sa.Column("absent_at", UTCDateTime(), nullable=True),
        sa.Column("empty_listings", sa.Integer(), nullable=False),
        sa.Column("gone_at", UTCDateTime(), nullable=True),
        sa.Column("billed_until", UTCDateTime(), nullable=True),
        sa.Column("billed", sa.BigInteger(), nullable=True),
        sa.Column("cursor", sa.Integer(), nullable=False),
        sa.Column("note", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_attempt_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
        sa.UniqueConstraint("launch_key", name="uq_attempt_launch_key"),
    )
    op.create_index("ix_attempt_job", "attempt", ["job_id"])
    op.create_index("ix_attempt_state", "attempt", ["state"])

    op.create_table(
        "card",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", AutoString(), nullable=False),
        sa.Column("role", AutoString(), nullable=False),
        sa.Column("recipient", AutoString(), nullable=False),
        sa.Column("channel", AutoString(), nullable=False),
        sa.Column("ts", AutoString(), nullable=True),
        sa.Column("shown", sa.Integer(), nullable=False),
        sa.Column("tried_at", UTCDateTime(), nullable=True),
        sa.Column("error", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_card_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card")),
        sa.UniqueConstraint("job_id", "role", "recipient", name="uq_card_copy"),
    )
    op.create_table(
        "checkpoint",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", AutoString(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=True),
        sa.Column("manifest", AutoString(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_checkpoint_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checkpoint")),
        sa.UniqueConstraint("manifest", name="uq_checkpoint_manifest"),
    )
    op.create_table(
        "metricpoint",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", AutoString(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("series", AutoString(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("odd", AutoString(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_metricpoint_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_metricpoint")),
        sa.UniqueConstraint("job_id", "series", "step", "attempt", name="uq_metric_point"),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("metricpoint")
    op.drop_table("checkpoint")
    op.drop_table("card")
    op.drop_table("attempt")
    op.drop_table("job")
    op.drop_table("entry")
    op.drop_table("period")
    op.drop_table("outbox")
    op.drop_table("channel")
    op.drop_table("team")
    op.drop_table("seen")
    op.drop_table("note")
    op.drop_table("mark")
