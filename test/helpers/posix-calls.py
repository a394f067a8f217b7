"""Calls that node:fs lacks, on files of a mount. Usage: posix-calls.py NAME ARGUMENT...; prints JSON."""
import ctypes, errno, hashlib, json, mmap, os, sys

libc = ctypes.CDLL(None, use_errno=True)


class Dirent(ctypes.Structure):
    _fields_ = [('ino', ctypes.c_uint64), ('off', ctypes.c_int64), ('reclen', ctypes.c_uint16),
                ('type', ctypes.c_uint8), ('name', ctypes.c_char * 256)]


libc.opendir.restype = ctypes.c_void_p
libc.readdir.restype = ctypes.POINTER(Dirent)
libc.readdir.argtypes = libc.telldir.argtypes = libc.closedir.argtypes = [ctypes.c_void_p]
libc.telldir.restype = ctypes.c_long
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]


def rest(stream):
    names = []
    while True:
        entry = libc.readdir(stream)
        if not entry:
            return names
        names.append(os.fsdecode(entry.contents.name))


def seekdir(path, step):
    """Lists a directory, then seeks back to every step-th place, latest first; says where the rest differs."""
    stream = libc.opendir(os.fsencode(path))
    places, names = [], []
    while True:
        places.append(libc.telldir(stream))
        entry = libc.readdir(stream)
        if not entry:
            break
        names.append(os.fsdecode(entry.contents.name))
    wrong = []
    for at in range(len(names), -1, -int(step)):
        libc.seekdir(stream, places[at])
        if rest(stream) != names[at:]:
            wrong.append(at)
    libc.closedir(stream)
    return {'count': len(names), 'distinct': len(set(names)), 'wrong': wrong}


def error_of(call, *arguments):
    try:
        call(*arguments)
        return 'none'
    except OSError as error:
        return errno.errorcode[error.errno]


def attributes(path):
    return {name: os.getxattr(path, name).decode('latin1') for name in os.listxattr(path)}


def attribute_sizes(path, name):
    """Size probing: with no buffer, with one that is too small, with one that fits."""
    buffer = ctypes.create_string_buffer(65536)
    results = []
    for call, arguments in ((libc.getxattr, (path.encode(), name.encode())), (libc.listxattr, (path.encode(),))):
        size = call(*arguments, None, 0)
        small = call(*arguments, buffer, size - 1)
        results.append([size, errno.errorcode[ctypes.get_errno()] if small < 0 else small,
                        call(*arguments, buffer, size)])
    missing = error_of(os.getxattr, path, 'user.no-such-thing')
    return {'get': results[0], 'list': results[1], 'missing': missing}


def attribute_errors(path, name):
    return {'list': error_of(os.listxattr, path), 'get': error_of(os.getxattr, path, name)}


libc.lseek.restype = ctypes.c_int64
libc.lseek.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int]
GETDENTS64 = {'x86_64': 217, 'aarch64': 61}.get(os.uname().machine)


def far_seeks(file, directory):
    """SEEK_DATA and SEEK_HOLE far outside a file; what getdents gives far behind a directory."""
    seeks, lists = [], []
    descriptor = os.open(file, os.O_RDONLY)
    for place in (-1, -2 ** 62, 2 ** 53, 2 ** 63 - 1):
        seeks += [error_of(os.lseek, descriptor, place, how) for how in (os.SEEK_DATA, os.SEEK_HOLE)]
    descriptor = os.open(directory, os.O_RDONLY)
    buffer = ctypes.create_string_buffer(4096)
    for place in (2 ** 40, 2 ** 53 - 1, 2 ** 53, 2 ** 63 - 1):
        libc.lseek(descriptor, place, os.SEEK_SET)
        lists.append(libc.syscall(GETDENTS64, descriptor, buffer, 4096))
    return {'file': seeks, 'directory': lists}


def handles(path):
    """Opens a file by its handle, and by handles with numbers that were never given out."""
    handle, mount_id = ctypes.create_string_buffer(8 + 128), ctypes.c_int()
    ctypes.memset(handle, 0, len(handle))
    handle[0:4] = (128).to_bytes(4, 'little')
    if libc.name_to_handle_at(-100, os.fsencode(path), handle, ctypes.byref(mount_id), 0) != 0:
        raise OSError(ctypes.get_errno(), 'name_to_handle_at')
    inside = os.open(os.path.dirname(path), os.O_RDONLY)

    def size():
        descriptor = libc.open_by_handle_at(inside, handle, os.O_RDONLY)
        if descriptor < 0:
            return errno.errorcode[ctypes.get_errno()]
        return os.fstat(descriptor).st_size

    own, foreign = size(), []
    for number in (77777, 2 ** 53 - 1, 2 ** 53 + 1, 2 ** 64 - 1):
        # The node's number in two halves, the upper one first.
        handle[8:16] = (number >> 32).to_bytes(4, 'little') + (number & 0xffffffff).to_bytes(4, 'little')
        foreign.append(size())
    return {'own': own, 'foreign': foreign}


def write_attributes(path, name):
    return {'set': error_of(os.setxattr, path, name, b'x'), 'remove': error_of(os.removexattr, path, name)}


def mapped_hash(path):
    with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        return hashlib.sha256(mapped).hexdigest()


print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
