"""What a hostile function tries. Each attack returns what it got; Refused says it got nothing.

The source below runs inside a sandbox, so it imports nothing of ours.
"""

SOURCE = r"""
import ctypes, errno, os, resource, signal, socket, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)

def call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "allowed"

def read(path):
    with open(path, "rb") as file:
        return "read " + str(len(file.read(64)))

def write(path):
    with open(path, "wb") as file:
        file.write(b"x")
    return "written"

def connect(address, family=socket.AF_INET, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as one:
        one.settimeout(0.5)
        one.connect(address)
    return "connected"

def make_socket(family, kind):
    socket.socket(family, kind).close()
    return "made"

def attack(name, event):
    x86 = os.uname().machine == "x86_64"
    n = lambda a, b: a if x86 else b
    return {
        "shadow": lambda: read("/etc/shadow"),
        "secret": lambda: read(event["secret"]),
        "secret_folder": lambda: os.listdir(os.path.dirname(event["secret"])),
        "neighbour": lambda: os.listdir(event["neighbour"]),
        "store": lambda: os.listdir("/run/store") or os.listdir("/nothing"),
        "write_task": lambda: write(os.environ["LAMBDA_TASK_ROOT"] + "/new"),
        "write_usr": lambda: write("/usr/new"),
        "write_etc": lambda: write("/etc/new"),
        "write_runtime": lambda: write("/var/runtime/new"),
        "mount": lambda: call(n(165, 40), b"t", b"/tmp", b"tmpfs", 0, None),
        "umount": lambda: call(n(166, 39), b"/var/task", 2),
        "unshare_user": lambda: call(n(272, 97), 0x10000000),
        "unshare_mount": lambda: call(n(272, 97), 0x20000),
        "clone_user": lambda: call(n(56, 220), 0x10000000 | 17, 0, 0, 0, 0),
        "clone3": lambda: call(435, None, 0),
        "setns": lambda: call(n(308, 268), os.open("/proc/self/ns/net", os.O_RDONLY), 0),
        "ptrace": lambda: call(n(101, 117), 16, os.getppid(), 0, 0),
        "bpf": lambda: call(n(321, 280), 0, None, 0),
        "io_uring": lambda: call(n(425, 425), 1, None),
        "userfaultfd": lambda: call(n(323, 282), 0),
        "keyctl": lambda: call(n(250, 219), 0, -3, 0, 0, 0),
        "perf": lambda: call(n(298, 241), None, 0, -1, -1, 0),
        "kexec": lambda: call(n(246, 104), 0, 0, None, 0),
        "process_vm_readv": lambda: call(n(310, 270), os.getppid(), None, 0, None, 0, 0),
        "open_by_handle": lambda: call(n(304, 265), 3, None, 0),
        "vsock": lambda: make_socket(40, socket.SOCK_STREAM),
        "packet": lambda: make_socket(17, socket.SOCK_RAW),
        "raw": lambda: make_socket(socket.AF_INET, socket.SOCK_RAW),
        "alg": lambda: make_socket(38, socket.SOCK_SEQPACKET),
        "setuid": lambda: os.setuid(0),
        "setgroups": lambda: os.setgroups([0]),
        "device": lambda: os.mknod("/tmp/device", 0o20600, os.makedev(1, 1)),
        "chroot": lambda: os.chroot("/tmp"),
        "hostname": lambda: socket.sethostname("evil"),
        "sysctl": lambda: write("/proc/sys/kernel/hostname"),
        "nice": lambda: os.nice(-5),
        "raise_limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (10**6, 10**6)),
        "init_memory": lambda: read(f"/proc/{os.getppid()}/mem"),
        "init_environment": lambda: read(f"/proc/{os.getppid()}/environ"),
        "init_files": lambda: os.listdir(f"/proc/{os.getppid()}/fd"),
        "init_root": lambda: os.listdir(f"/proc/{os.getppid()}/root/etc"),
        "kill_platform": lambda: os.kill(event["platform"], 0),
        "loopback": lambda: connect(("127.0.0.1", event["port"])),
        "lan": lambda: connect(tuple(event["lan"])),
        "internet": lambda: connect(("1.1.1.1", 53)),
        "dns": lambda: connect(("8.8.8.8", 53), kind=socket.SOCK_DGRAM),
        "abstract": lambda: connect("\0" + event["abstract"], socket.AF_UNIX),
    }[name]()

def handler(event, context):
    found = {}
    for name in event["attacks"]:
        try:
            found[name] = f"got {attack(name, event)}"
        except OSError as error:
            found[name] = "refused " + errno.errorcode.get(error.errno, str(error))
        except ValueError as error:  # what setrlimit raises
            found[name] = "refused " + str(error)
    return found
"""

EVERYWHERE = [
    *("shadow", "secret", "secret_folder", "neighbour"),
    *("write_task", "write_usr", "write_etc", "write_runtime"),
    *("mount", "umount", "unshare_user", "unshare_mount", "clone_user", "clone3", "setns"),
    *("ptrace", "bpf", "io_uring", "userfaultfd", "keyctl", "perf", "kexec"),
    *("process_vm_readv", "open_by_handle", "vsock", "packet", "raw", "alg"),
    *("setuid", "setgroups", "device", "chroot", "hostname", "sysctl", "nice", "raise_limit"),
    *("init_memory", "init_environment", "init_files", "kill_platform"),
]
"""Refused wherever functions run at level 1 or better."""

WITH_NAMESPACES = ["store", "init_root", "loopback", "lan", "internet", "dns", "abstract"]
"""Refused from level 2 on."""
