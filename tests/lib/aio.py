"""An asyncio IPROTO connection with many requests in flight, for load."""

import asyncio
import itertools

from .iproto import GREETING_BYTES, Closed, Framer, Key, Reply, Type, request


class AsyncConnection:
    """Replies are matched to requests by sync. After the end of the stream every request raises Closed."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.syncs = itertools.count(1)
        self.waiting = {}
        self.ended = False
        self.pump = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, port):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await reader.readexactly(GREETING_BYTES)
        except (OSError, asyncio.IncompleteReadError) as e:
            raise Closed(str(e)) from e
        return cls(reader, writer)

    async def _read(self):
        framer = Framer()
        try:
            while data := await self.reader.read(1 << 16):
                framer.feed(data)
                while (payload := framer.next()) is not None:
                    reply = Reply(payload)
                    self.waiting.pop(reply.sync).set_result(reply)
        except OSError:
            pass
        finally:
            self.ended = True
            for future in self.waiting.values():
                if not future.done():
                    future.set_exception(Closed("end of stream"))
                    # Whoever sent it may have gone already.
                    future.exception()

    def send(self, type_, body=None, **header):
        """Sends a request at once; the result is a future reply. `header` as in `iproto.request`."""
        if self.ended or self.writer.is_closing():
            raise Closed("end of stream")
        sync = next(self.syncs)
        future = asyncio.get_running_loop().create_future()
        self.waiting[sync] = future
        self.writer.write(request(type_, body, sync, **header))
        return future

    async def ask(self, type_, body=None, **header):
        """DATA of the reply; raises ServerError or Closed."""
        return (await self.send(type_, body, **header)).data

    async def call(self, name, *args):
        return await self.ask(Type.CALL, {Key.FUNCTION_NAME: name, Key.TUPLE: list(args)})

    async def close(self):
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass
        await self.pump
