# Who runs here, and what it is called.  Part of _core.pyx.

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef enum:
    THREAD = 1  # no name begins with this byte, seven zeros and something else
    NAME_SIZE = 32

# Set by aioipc._waiting.
cdef object _running_loop = None, _task_of_loop = None, _task_elsewhere = None

# The loop that ran in a thread lately.  Asking for the running one costs a system call before Python 3.12.
cdef unsigned long _loop_thread = 0
cdef object _loop_there = None


def tasks(running_loop not None, task_of_loop not None, task_elsewhere not None):
    """How to find who runs: the running asyncio loop, its task, the task under the other library."""
    global _running_loop, _task_of_loop, _task_elsewhere
    _running_loop, _task_of_loop, _task_elsewhere = running_loop, task_of_loop, task_elsewhere


cdef object running_task():
    """The task that runs in this thread, None when there is none."""
    global _loop_thread, _loop_there
    if _checkpoint_wanted():
        return _task_elsewhere()
    cdef unsigned long thread = PyThread_get_thread_ident()
    if thread == _loop_thread:
        loop = _loop_there()
        if loop is not None:
            task = _task_of_loop(loop)
            if task is not None:
                return task
    loop = _running_loop()
    if loop is None:
        return None
    _loop_thread, _loop_there = thread, weakref(loop)
    return _task_of_loop(loop)


cdef object who_runs(bint thread):
    """The task that runs here; the thread's number, when there is none or `thread` asks for it.  As owners: equal
    when the same."""
    task = None if thread else running_task()
    return PyThread_get_thread_ident() if task is None else task


cdef str name_of(object who):
    """What a task is called; None for a thread."""
    if type(who) is int:
        return None
    try:
        return who.get_name()
    except AttributeError:
        return str(who.name)[-NAME_SIZE:]  # trio's begin with the module


cdef void write_name(uint64_t *words, str name) noexcept:
    """For other processes to read: a task's name, cut after 32 bytes, or the number of this thread."""
    cdef uint64_t room[4]
    cdef Py_ssize_t size = 0
    cdef int i
    memset(room, 0, sizeof(room))
    if name is None:
        room[0], room[1] = THREAD, aipc_os_thread()
    else:
        try:
            memcpy(room, PyUnicode_AsUTF8AndSize(name, &size), min(size, <Py_ssize_t>sizeof(room)))
        except Exception:
            pass  # no UTF-8 for it, or no memory
    for i in range(4):
        aipc_store_relaxed64(&words[i], room[i])


cdef str read_name(const uint64_t *words):
    """None when nobody wrote one."""
    cdef uint64_t room[4]
    cdef int i
    for i in range(4):
        room[i] = aipc_load_relaxed64(&words[i])
    if room[0] == THREAD and room[1] != 0:
        return f"thread {room[1]}"
    return (<char *>room)[:sizeof(room)].rstrip(b"\0").decode("utf-8", "ignore") or None
