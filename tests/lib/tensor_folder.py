"""Model folders of one safetensors file, read and written for tests that change them."""
import json
import os
import struct


def read_folder(folder):
    """({name: [dtype, shape, bytes]}, config)"""
    with open(os.path.join(folder, "model.safetensors"), "rb") as f:
        data = f.read()
    n = struct.unpack("<Q", data[:8])[0]
    tensors = json.loads(data[8:8 + n])
    tensors.pop("__metadata__", None)
    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)
    return {name: [t["dtype"], t["shape"], data[8 + n + t["data_offsets"][0]:8 + n + t["data_offsets"][1]]]
            for name, t in tensors.items()}, config


def write_folder(folder, tensors, config):
    header, blob = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(blob), len(blob) + len(content)]}
        blob += bytes(content)
    text = json.dumps(header).encode()
    with open(os.path.join(folder, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + blob)
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config, f)
