"""The whole chain on a real S3 server gives what it gives on a directory, id for id and digest for digest."""

from __future__ import annotations

from chain import Chain, run_chain

from olivine.store import open_store


def test_chain_on_s3_equals_chain_on_directory(chain: Chain, s3_store_url: str):
    on_s3 = run_chain(Chain(chain.root, open_store(s3_store_url)))
    for word, artifact in chain.made.items():
        assert on_s3.made[word].id == artifact.id
        assert on_s3.made[word].manifest.data_digest == artifact.manifest.data_digest
