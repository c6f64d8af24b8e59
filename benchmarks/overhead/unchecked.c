/* The steps of a tap and nothing else: what any tap with these steps costs at least.
 *
 * It reads method, path and headers of the scope, takes the time three times, draws an id and sets it as a header on
 * copies, sets and resets a context variable, keeps some headers and both bodies, and appends one entry to a queue. No
 * type is checked, no error is looked for, no other message than those of the benchmark is understood: it is no tap.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static PyObject *s_body, *s_more_body, *s_headers, *s_status, *s_path, *s_method, *id_header, *variable, *append;

#define KEPT(X) X(receive) X(send) X(queue) X(token) X(method) X(path) X(asked) X(answered) X(id) X(status) X(request) X(chunks)
#define FIELD(name) PyObject *name;
#define CLEAR(name) Py_CLEAR(self->name);
#define VISIT(name) Py_VISIT(self->name);
typedef struct {
    PyObject_HEAD
    KEPT(FIELD)
    long long started_ns, first_ns;
} Tap;

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    Tap *tap;
    PyObject *inner;
} Part; /* receive, send, or what awaits the server's receive */

#define MOST_FREE 16
static Part *parts[MOST_FREE];
static int free_parts = 0;
static PyTypeObject TapType, DoorType, WaitType;

static int tap_traverse(Tap *self, visitproc visit, void *arg)
{
    KEPT(VISIT)
    return 0;
}

static void tap_dealloc(Tap *self)
{
    PyObject_GC_UnTrack(self);
    KEPT(CLEAR)
    PyObject_GC_Del(self);
}

static int part_traverse(Part *self, visitproc visit, void *arg)
{
    Py_VISIT(self->tap);
    Py_VISIT(self->inner);
    return 0;
}

static void part_dealloc(Part *self)
{
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->tap);
    Py_CLEAR(self->inner);
    if (free_parts < MOST_FREE)
        parts[free_parts++] = self;
    else
        PyObject_GC_Del(self);
}

static PyObject *new_part(PyTypeObject *type, Tap *tap, vectorcallfunc call, PyObject *inner)
{
    Part *part = free_parts > 0 ? (Part *)PyObject_Init((PyObject *)parts[--free_parts], type) : PyObject_GC_New(Part, type);
    part->call = call;
    part->tap = (Tap *)Py_NewRef(tap);
    part->inner = inner;
    PyObject_GC_Track(part);
    return (PyObject *)part;
}

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
}

static PyObject *new_id(long long now)
{
    static const char digits[] = "0123456789abcdef";
    static unsigned char pool[256];
    static int left = 0;
    unsigned char raw[16];
    if (left == 0) {
        getentropy(pool, sizeof pool);
        left = sizeof pool;
    }
    left -= 8;
    memcpy(raw, &now, 8);
    memcpy(raw + 8, pool + left, 8);
    PyObject *text = PyUnicode_New(36, 127);
    Py_UCS1 *to = PyUnicode_1BYTE_DATA(text);
    for (int at = 0; at < 16; at++) {
        if (at == 4 || at == 6 || at == 8 || at == 10)
            *to++ = '-';
        *to++ = digits[raw[at] >> 4];
        *to++ = digits[raw[at] & 15];
    }
    return text;
}

/* The pairs that name the content's type, length or encoding. */
static PyObject *about_content(PyObject *headers)
{
    PyObject *found[8], **pair = PySequence_Fast_ITEMS(headers), **last = pair + PySequence_Fast_GET_SIZE(headers);
    int count = 0;
    for (; pair < last; pair++) {
        PyObject *name = PyTuple_GET_ITEM(*pair, 0);
        Py_ssize_t length = PyBytes_GET_SIZE(name);
        if ((length == 12 || length == 14 || length == 16) && PyBytes_AS_STRING(name)[0] == 'c' && count < 8)
            found[count++] = Py_NewRef(*pair);
    }
    PyObject *kept = PyTuple_New(count);
    while (count-- > 0)
        PyTuple_SET_ITEM(kept, count, found[count]);
    return kept;
}

static PySendResult wait_send(Part *self, PyObject *value, PyObject **result)
{
    PySendResult step = PyIter_Send(self->inner, value, result);
    if (step == PYGEN_RETURN) {
        PyObject *body = PyDict_GetItemWithError(*result, s_body);
        if (body != NULL)
            Py_XSETREF(self->tap->request, Py_NewRef(body));
    }
    return step;
}

static PyObject *wait_next(Part *self)
{
    PyObject *result;
    if (wait_send(self, Py_None, &result) != PYGEN_RETURN)
        return result;
    PyErr_SetObject(PyExc_StopIteration, result);
    Py_DECREF(result);
    return NULL;
}

static PyObject *call_receive(PyObject *self, PyObject *const *args, size_t flags, PyObject *names)
{
    Tap *tap = ((Part *)self)->tap;
    return new_part(&WaitType, tap, NULL, PyObject_CallNoArgs(tap->receive));
}

static PyObject *with_id(Tap *tap, PyObject *message, PyObject *headers)
{
    Py_ssize_t count = PySequence_Fast_GET_SIZE(headers);
    PyObject *pair = PyTuple_New(2), *longer = PyList_New(count + 1), *copy = PyDict_Copy(message);
    PyTuple_SET_ITEM(pair, 0, Py_NewRef(id_header));
    PyTuple_SET_ITEM(pair, 1, PyBytes_FromStringAndSize((char *)PyUnicode_1BYTE_DATA(tap->id), 36));
    for (Py_ssize_t at = 0; at < count; at++)
        PyList_SET_ITEM(longer, at, Py_NewRef(PySequence_Fast_GET_ITEM(headers, at)));
    PyList_SET_ITEM(longer, count, pair);
    PyDict_SetItem(copy, s_headers, longer);
    Py_DECREF(longer);
    return copy;
}

static void finish(Tap *tap)
{
    PyObject *times = PyTuple_New(3);
    PyTuple_SET_ITEM(times, 0, PyLong_FromLongLong(tap->started_ns));
    PyTuple_SET_ITEM(times, 1, PyLong_FromLongLong(tap->first_ns));
    PyTuple_SET_ITEM(times, 2, PyLong_FromLongLong(now_ns()));
    PyObject *entry = PyTuple_Pack(9, tap->id, tap->method, tap->path, tap->asked, tap->request, tap->answered, tap->status,
                                   tap->chunks, times);
    PyObject *both[] = {tap->queue, entry};
    Py_DECREF(PyObject_Vectorcall(append, both, 2, NULL));
    Py_DECREF(entry);
    Py_DECREF(times);
}

static PyObject *call_send(PyObject *self, PyObject *const *args, size_t flags, PyObject *names)
{
    Tap *tap = ((Part *)self)->tap;
    PyObject *body = NULL, *more = NULL, *key, *value;
    Py_ssize_t at = 0;
    while (PyDict_Next(args[0], &at, &key, &value))
        if (key == s_body)
            body = value;
        else if (key == s_more_body)
            more = value;
    if (body == NULL) {
        PyObject *headers = PyDict_GetItemWithError(args[0], s_headers);
        tap->status = Py_NewRef(PyDict_GetItemWithError(args[0], s_status));
        tap->answered = about_content(headers);
        PyObject *message = with_id(tap, args[0], headers), *sent = PyObject_CallOneArg(tap->send, message);
        Py_DECREF(message);
        return sent;
    }
    if (tap->chunks == NULL) {
        tap->first_ns = now_ns();
        tap->chunks = more == Py_True ? PyList_New(0) : Py_NewRef(body);
    }
    if (PyList_CheckExact(tap->chunks))
        PyList_Append(tap->chunks, body);
    if (more != Py_True)
        finish(tap);
    return PyObject_CallOneArg(tap->send, args[0]);
}

/* opened(queue, scope, receive, send): (tap, receive, send). */
static PyObject *opened(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    Tap *self = PyObject_GC_New(Tap, &TapType);
    memset((char *)self + offsetof(Tap, receive), 0, sizeof *self - offsetof(Tap, receive));
    self->queue = Py_NewRef(args[0]);
    self->method = Py_NewRef(PyDict_GetItemWithError(args[1], s_method));
    self->path = Py_NewRef(PyDict_GetItemWithError(args[1], s_path));
    self->asked = about_content(PyDict_GetItemWithError(args[1], s_headers));
    self->receive = Py_NewRef(args[2]);
    self->send = Py_NewRef(args[3]);
    self->started_ns = now_ns();
    self->id = new_id(self->started_ns);
    self->token = PyContextVar_Set(variable, (PyObject *)self);
    PyObject_GC_Track(self);
    PyObject *receive = new_part(&DoorType, self, call_receive, NULL), *send = new_part(&DoorType, self, call_send, NULL);
    PyObject *all = PyTuple_Pack(3, self, receive, send);
    Py_DECREF(receive);
    Py_DECREF(send);
    Py_DECREF(self);
    return all;
}

static PyObject *ended(PyObject *module, PyObject *tap)
{
    PyContextVar_Reset(variable, ((Tap *)tap)->token);
    Py_CLEAR(((Tap *)tap)->token);
    Py_RETURN_NONE;
}

#define OF_GC .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
static PyTypeObject TapType = {
    PyVarObject_HEAD_INIT(NULL, 0) .tp_name = "unchecked.Tap", .tp_basicsize = sizeof(Tap), OF_GC,
    .tp_dealloc = (destructor)tap_dealloc, .tp_traverse = (traverseproc)tap_traverse,
};
static PyTypeObject DoorType = {
    PyVarObject_HEAD_INIT(NULL, 0) .tp_name = "unchecked.Door", .tp_basicsize = sizeof(Part), OF_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_dealloc = (destructor)part_dealloc, .tp_traverse = (traverseproc)part_traverse,
    .tp_vectorcall_offset = offsetof(Part, call), .tp_call = PyVectorcall_Call,
};
static PyAsyncMethods awaiting = {.am_await = PyObject_SelfIter, .am_send = (sendfunc)wait_send};
static PyTypeObject WaitType = {
    PyVarObject_HEAD_INIT(NULL, 0) .tp_name = "unchecked.Wait", .tp_basicsize = sizeof(Part), OF_GC,
    .tp_dealloc = (destructor)part_dealloc, .tp_traverse = (traverseproc)part_traverse, .tp_as_async = &awaiting,
    .tp_iter = PyObject_SelfIter, .tp_iternext = (iternextfunc)wait_next,
};

static PyMethodDef methods[] = {
    {"opened", (PyCFunction)(void (*)(void))opened, METH_FASTCALL, NULL},
    {"ended", ended, METH_O, NULL},
    {NULL},
};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "unchecked", NULL, -1, methods};

PyMODINIT_FUNC PyInit_unchecked(void)
{
    s_body = PyUnicode_InternFromString("body");
    s_more_body = PyUnicode_InternFromString("more_body");
    s_headers = PyUnicode_InternFromString("headers");
    s_status = PyUnicode_InternFromString("status");
    s_path = PyUnicode_InternFromString("path");
    s_method = PyUnicode_InternFromString("method");
    id_header = PyBytes_FromString("x-mlmon-prediction-id");
    variable = PyContextVar_New("unchecked", NULL);
    PyObject *collections = PyImport_ImportModule("collections"), *deque = PyObject_GetAttrString(collections, "deque");
    append = PyObject_GetAttrString(deque, "append");
    if (PyType_Ready(&TapType) < 0 || PyType_Ready(&DoorType) < 0 || PyType_Ready(&WaitType) < 0)
        return NULL;
    return PyModule_Create(&definition);
}
