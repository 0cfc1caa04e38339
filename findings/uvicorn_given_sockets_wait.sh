#!/usr/bin/env bash
# Believed: uvicorn sends a reply the same way, whether it opens its port itself or is handed a listening socket.
# True:     on a socket from socket.create_server, whose protocol is 0, asyncio leaves Nagle's algorithm on. A reply's head and
#           body are two packets, and the second may wait 40 ms for the first one's acknowledgement.
# Version:  uvicorn 0.54.0, CPython 3.11.7
# Matters:  one caller at a time gets half of the replies a second; scripts/server/asgi.py sets TCP_NODELAY on what it listens at.
source "$(dirname "$0")/preamble"
packages uvicorn==0.54.0
cat > look.py <<'PY'
import asyncio
import socket

import uvicorn


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def look(sockets):
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", log_level="critical"))
    serving = asyncio.create_task(server.serve(sockets))
    while not server.started:
        await asyncio.sleep(0.05)
    listening = sockets[0] if sockets else server.servers[0].sockets[0]
    _, caller = await asyncio.open_connection(*listening.getsockname())
    while not server.server_state.connections:
        await asyncio.sleep(0.05)
    (connection,) = server.server_state.connections
    accepted = connection.transport.get_extra_info("socket")
    at_once = bool(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    caller.close()
    server.should_exit = True
    await serving
    return at_once


own = asyncio.run(look(None))
handed = asyncio.run(look([socket.create_server(("127.0.0.1", 0))]))
print(f"TCP_NODELAY on a connection: its own port {own}, a port handed over {handed}")
PY
seen=$(venv/bin/python look.py)
echo "uvicorn 0.54.0; believed: True and True; seen: $seen"
[[ $seen == *"own port True, a port handed over False" ]]
