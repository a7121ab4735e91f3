"""files.*: the upload in three steps, and what became of it."""

from __future__ import annotations

from typing import cast

from bot.sandbox.arguments import Arguments, invalid
from bot.sandbox.methods_chat import place
from bot.sandbox.posting import Content
from bot.sandbox.ratelimit import TIER_4
from bot.sandbox.records import Channel, Json
from bot.sandbox.state import State
from bot.sandbox.webapi import Method


def get_upload_url(state: State, args: Arguments) -> Json:
    """files.getUploadURLExternal"""
    alt_text = args.text("alt_txt")
    if alt_text is not None and len(alt_text) > 1000:
        raise invalid("must be less than 1001 characters: alt_txt")
    file = state.files.announce(
        name=args.required("filename"),
        size=args.number("length", 0),
        user=state.workspace.bot_user,
        alt_text=alt_text,
    )
    return {"upload_url": f"{state.base_url}/upload/v1/{file.secret}", "file_id": file.id}


def complete_upload(state: State, args: Arguments) -> Json:
    """files.completeUploadExternal: shares at once, in the channel or thread that is named"""
    wanted = args.tree("files", "invalid_arguments")
    if not isinstance(wanted, list) or not wanted or not all(isinstance(one, dict) for one in wanted):
        raise invalid("missing required field: files")
    where = args.text("channel_id")
    channels = [where] if where else args.names("channels")
    thread_ts = args.text("thread_ts")
    if thread_ts and len(channels) != 1:
        raise invalid("thread_ts wants exactly one channel")
    places = [place(state, one, posting=True) for one in channels]
    for channel in places:
        if thread_ts:
            state.posting.check_parent(channel, thread_ts)
    for one in cast(list[Json], wanted):
        state.files.get(str(one.get("id")), finished=False)
    done = [state.files.complete(str(one["id"]), title=one.get("title")) for one in cast(list[Json], wanted)]
    for channel in places:
        _share(state, channel, tuple(file.id for file in done), args.text("initial_comment"), thread_ts)
    return {"files": [state.file(state.files.get(one.id)) for one in done]}


def _share(
    state: State, channel: Channel, file_ids: tuple[str, ...], comment: str | None, thread_ts: str | None
) -> None:
    for file_id in file_ids:
        state.files.share(file_id, channel.id)
    content = Content(text=comment or "", blocks=None, attachments=None, metadata=None)
    state.posting.say(channel, content, thread_ts=thread_ts, files=file_ids)


def file_info(state: State, args: Arguments) -> Json:
    """files.info"""
    return {"file": state.file(state.files.get(args.required("file"))), "comments": []}


METHODS = {
    "files.getUploadURLExternal": Method(run=get_upload_url, scope="files:write", rate=TIER_4),
    "files.completeUploadExternal": Method(run=complete_upload, scope="files:write", rate=TIER_4),
    "files.info": Method(run=file_info, scope="files:read", rate=TIER_4),
}
