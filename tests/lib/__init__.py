"""What the tests share: a raw IPROTO client, servers to start, schema helpers, a login provider."""
