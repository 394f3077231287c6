"""Makes version1.json: records sealed by another implementation, Python's `cryptography` (47 or later), by the layout in
core/encryption/src/lib.rs and nothing else. Run by hand when the layout gets a new version; tests/vectors.rs reads the file.

    python3 core/encryption/tests/vectors/make.py > core/encryption/tests/vectors/version1.json
    python3 core/encryption/tests/vectors/make.py check < records.json   # opens what Rust has sealed
"""

import json
import os
import sys

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

ALGORITHM = "X25519-HKDF-SHA256+AES-256-GCM"
HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def text(value):
    data = value.encode()
    return len(data).to_bytes(2, "big") + data


def info_of(key_id):
    return b"karafka/encryption/1\0" + text(ALGORITHM) + text(key_id)


def seal(public_key, key_id, topic, payload):
    key, nonce, info = os.urandom(32), os.urandom(12), info_of(key_id)
    wrapped = HPKE.encrypt(key, public_key, info)
    assert len(wrapped) == 80
    return wrapped, nonce + AESGCM(key).encrypt(nonce, payload, info + text(topic) + wrapped)


def open_sealed(private_key, key_id, topic, wrapped, sealed):
    info = info_of(key_id)
    key = HPKE.decrypt(wrapped, private_key, info)
    return AESGCM(key).decrypt(sealed[:12], sealed[12:], info + text(topic) + wrapped)


def vector(key_id, topic, payload):
    private = X25519PrivateKey.generate()
    wrapped, sealed = seal(private.public_key(), key_id, topic, payload)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {
        "private_key": pem.decode(),
        "public_key": public.decode(),
        "topic": topic,
        "payload": payload.hex(),
        "headers": {
            "encryption_version": b"1".hex(),
            "encryption_algorithm": ALGORITHM.encode().hex(),
            "encryption_key_id": key_id.encode().hex(),
            "encryption_key": wrapped.hex(),
        },
        "sealed": sealed.hex(),
    }


def check(records):
    for record in records:
        private = serialization.load_pem_private_key(record["private_key"].encode(), None)
        headers = {name: bytes.fromhex(value) for name, value in record["headers"].items()}
        opened = open_sealed(
            private,
            headers["encryption_key_id"].decode(),
            record["topic"],
            headers["encryption_key"],
            bytes.fromhex(record["sealed"]),
        )
        assert opened.hex() == record["payload"]
    print(f"{len(records)} records opened")


if sys.argv[1:] == ["check"]:
    check(json.load(sys.stdin))
else:
    made = [
        vector("2026-11", "orders", b"two apples"),
        vector("a", "t", b""),
        vector("Main.key_2", "orders.eu-1_x", b"\0"),
        vector("k" * 64, "o" * 249, bytes(range(256)) * 4),
        vector("2026-11", "orders", b"\xff" * 16),
        vector("2026-11", "orders", "naïve 日本".encode()),
    ]
    json.dump(made, sys.stdout, indent=2)
    print()
