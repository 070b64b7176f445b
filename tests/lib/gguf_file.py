"""GGUF files read and written, for tests that change them."""
import struct

NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
U32, I32, FLOAT, BOOL, TEXT, ARRAY = 4, 5, 6, 7, 8, 9
BLOCKS = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84), 11: (256, 110),
          12: (256, 144), 13: (256, 176), 14: (256, 210), 26: (1, 4), 30: (1, 2), 39: (32, 17)}  # elements, bytes
F32, F16, BF16 = 0, 1, 30


def text(s):
    data = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<Q", len(data)) + data


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        value, = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def text(self):
        n = self.take("<Q")
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def value(self, kind):
        return self.text() if kind == TEXT else self.take(NUMBERS[kind])


def read(path):
    """({key: (type, value) or (ARRAY, type, [values])}, {tensor: [type, shape, bytes]}); shapes outermost first"""
    with open(path, "rb") as f:
        r = Reader(f.read())
    assert r.data[:4] == b"GGUF"
    r.at = 8
    tensors, keys = r.take("<Q"), r.take("<Q")
    values = {}
    for _ in range(keys):
        name, kind = r.text(), r.take("<I")
        if kind == ARRAY:
            kind = r.take("<I")
            values[name] = (ARRAY, kind, [r.value(kind) for _ in range(r.take("<Q"))])
        else:
            values[name] = (kind, r.value(kind))
    found = {}
    for _ in range(tensors):
        name = r.text()
        shape = [r.take("<q") for _ in range(r.take("<I"))][::-1]
        found[name] = [r.take("<I"), shape, r.take("<Q")]
    begin = (r.at + 31) // 32 * 32
    for t in found.values():
        per, size = BLOCKS[t[0]]
        n = size
        for d in t[1]:
            n *= d
        t[2] = r.data[begin + t[2]:begin + t[2] + n // per]
    return values, found


def write(path, values, tensors):
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
    for name, (kind, *rest) in values.items():
        head += text(name) + struct.pack("<I", kind)
        if kind == ARRAY:
            of, elements = rest
            head += struct.pack("<IQ", of, len(elements))
            head += b"".join(text(e) if of == TEXT else struct.pack(NUMBERS[of], e) for e in elements)
        else:
            head += text(rest[0]) if kind == TEXT else struct.pack(NUMBERS[kind], rest[0])
    body = b""
    for name, (kind, shape, data) in tensors.items():
        head += text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<q", d) for d in shape[::-1])
        head += struct.pack("<IQ", kind, len(body))
        body += data + b"\0" * (-len(data) % 32)
    with open(path, "wb") as f:
        f.write(head + b"\0" * (-len(head) % 32) + body)
    return path
