/* The usual path of ``exchange_tap.py`` in C: which requests are watched, one request and one answer, each in one piece,
 * and streams of plain chunks that are kept whole.
 *
 * ``exchange_tap.py`` states the semantics. The state of an exchange lies here as members of the same names, so whatever
 * is not the usual path is left to the methods there, which go on from the very same state. A path in here decides
 * before it changes anything. An error of ours goes to ``_abandon`` there and never to the application.
 *
 * With MLMON_TAP_INJECT defined every POINT() can be made to fail, one at a time: the tests walk them all.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/random.h>

#ifdef Py_GIL_DISABLED
#error "the free-threaded build takes the pure Python tap"
#endif

#ifdef MLMON_TAP_INJECT
static Py_ssize_t points_seen = 0, point_target = -1;
static int point(void)
{
    if (points_seen++ != point_target)
        return 0;
    PyErr_SetString(PyExc_ZeroDivisionError, "injected");
    return 1;
}
#define POINT() point()
#else
#define POINT() 0
#endif

#define NAMES(X) X(type) X(body) X(more_body) X(status) X(headers) X(asgi) X(spec_version) X(method) X(path) X(root_path) \
    X(options) X(span_hook) X(faults) X(handoff) X(now) X(selection) X(may_ignore) X(idle) X(plan) X(_known) \
    X(current) X(inside) X(put) X(send) X(close) X(max_body_bytes) X(max_stream_bytes) X(headers_in_any_case) \
    X(prediction_id_header) X(_begin) X(_seen) X(_received) X(_end_with) X(_wanted) X(_offer) X(_join_span) X(_send_watching) X(message) X(gi_code) \
    X(co_flags)
#define DECLARE(name) static PyObject *s_##name;
NAMES(DECLARE)
static PyObject *s_throw, *s_http, *s_request, *s_response_body, *s_response_start;
static PyObject *empty_bytes, *empty_tuple, *empty_text, *zero, *one;

/* Given by exchange_tap.py. */
static PyObject *CURRENT, *HANDOFF, *NO_SPAN, *COMPLETE, *DISCONNECT, *SEND_IS_SILENT, *IGNORE_HEADER, *EVENT_STREAMS;
static PyTypeObject *EXCHANGE_TAP, *STREAM_TAP, *QUEUE;
static PyObject *QUEUE_APPEND; /* looked up once */
static Py_ssize_t exchange_bytes, header_bytes, chunk_bytes, timed_chunks, max_chunks, bytes_a_chunk;

/* ---------------------------------------------------------------- errors, kept while ours are dealt with */

typedef struct { PyObject *type, *value, *traceback; } Raised;

static void keep(Raised *raised)
{
    PyErr_Fetch(&raised->type, &raised->value, &raised->traceback);
}

static void restore(Raised *raised)
{
    PyErr_Restore(raised->type, raised->value, raised->traceback);
}

/* The raised exception as an object, still held by ``raised``. */
static PyObject *error_of(Raised *raised)
{
    PyErr_NormalizeException(&raised->type, &raised->value, &raised->traceback);
    if (raised->traceback != NULL)
        PyException_SetTraceback(raised->value, raised->traceback);
    return raised->value;
}

/* ---------------------------------------------------------------- ids: RFC 9562 version 7 */

static unsigned char pool[256]; /* as much as getentropy gives at once */
static size_t pool_left = 0;
static long own_pid = 0;

static char pairs[256][2]; /* hexadecimal digits */

static void in_child(void)
{
    pool_left = 0; /* a child must not draw what its parent draws too */
    own_pid = (long)getpid();
}

static void set_pairs(void)
{
    static const char digits[] = "0123456789abcdef";
    for (int at = 0; at < 256; at++) {
        pairs[at][0] = digits[at >> 4];
        pairs[at][1] = digits[at & 15];
    }
}

#define SECOND_NS 1000000000LL

/* Unix ns at the reading ``monotonic_ns`` of this moment, 0 for none: where the two clocks were compared within a second,
 * by that, so that a second reading is saved. -1: raised. */
static long long unix_ns(long long monotonic_ns)
{
    static long long compared_ns = 0, ahead_ns = 0;
    struct timespec now;
    if (monotonic_ns != 0 && compared_ns <= monotonic_ns && monotonic_ns < compared_ns + SECOND_NS)
        return monotonic_ns + ahead_ns;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    long long found = (long long)now.tv_sec * SECOND_NS + now.tv_nsec;
    if (monotonic_ns != 0) {
        compared_ns = monotonic_ns;
        ahead_ns = found - monotonic_ns;
    }
    return found;
}

/* 48 bits of milliseconds, 12 of their fraction (section 6.2, method 3), 62 drawn. */
static PyObject *new_id(long long monotonic_ns)
{
    unsigned char raw[16];
    if (POINT())
        return NULL;
    if (pool_left < 8) {
        if (getentropy(pool, sizeof pool) != 0)
            return PyErr_SetFromErrno(PyExc_OSError);
        pool_left = sizeof pool;
    }
    long long now = unix_ns(monotonic_ns);
    if (now < 0)
        return NULL;
    unsigned long long ms = (unsigned long long)now / 1000000;
    unsigned fraction = (unsigned)((unsigned long long)(now % 1000000) * 4096 / 1000000);
    for (int at = 0; at < 6; at++)
        raw[at] = (unsigned char)(ms >> (40 - 8 * at));
    raw[6] = (unsigned char)(0x70 | fraction >> 8);
    raw[7] = (unsigned char)fraction;
    pool_left -= 8;
    memcpy(raw + 8, pool + pool_left, 8);
    memset(pool + pool_left, 0, 8);
    raw[8] = (unsigned char)(0x80 | (raw[8] & 0x3f));
    PyObject *text = PyUnicode_New(36, 127);
    if (text == NULL)
        return NULL;
    static const char starts[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};
    Py_UCS1 *to = PyUnicode_1BYTE_DATA(text);
    to[8] = to[13] = to[18] = to[23] = '-';
    for (int at = 0; at < 16; at++)
        memcpy(to + starts[at], pairs[raw[at]], 2);
    return text;
}

/* ---------------------------------------------------------------- the hand-off */

/* ``dict[key]`` as a new reference: a comparison of keys, or a collection in an allocation, may run anybody's code. */
static PyObject *item_of(PyObject *dict, PyObject *key)
{
    return Py_XNewRef(PyDict_GetItemWithError(dict, key));
}

/* Steals ``value``. */
static void put_in(PyObject **member, PyObject *value)
{
    PyObject *before = *member;
    *member = value;
    Py_XDECREF(before);
}
#define SET(member, value) put_in(&(member), Py_NewRef(value))
#define IS_NONE(member) ((member) == Py_None)

typedef struct {
    PyObject_HEAD
    long long accepted, dropped, ignored, bytes_queued;
} Lane;

static PyMemberDef lane_members[] = {
    {"accepted", T_LONGLONG, offsetof(Lane, accepted), 0, NULL},
    {"dropped", T_LONGLONG, offsetof(Lane, dropped), 0, NULL},
    {"ignored", T_LONGLONG, offsetof(Lane, ignored), 0, NULL},
    {"bytes_queued", T_LONGLONG, offsetof(Lane, bytes_queued), 0, NULL},
    {NULL},
};

static PyTypeObject LaneType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "mlmon_sidecar.capture._tap.Lane",
    .tp_basicsize = sizeof(Lane),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "What one producing thread counted. Only that thread writes.",
    .tp_new = PyType_GenericNew,
    .tp_members = lane_members,
};

/* The members of ``Handoff`` that ``put`` reads. ``lane`` is that of ``thread``, which keeps it for good. */
typedef struct {
    PyObject_HEAD
    PyObject *_queue, *_lanes, *_all_lanes, *lane;
    long long max_bytes, _max_items, _drained_bytes;
    unsigned long thread;
} Store;

static int store_traverse(Store *self, visitproc visit, void *arg)
{
    Py_VISIT(self->_queue);
    Py_VISIT(self->_lanes);
    Py_VISIT(self->_all_lanes);
    Py_VISIT(self->lane);
    return 0;
}

static int store_clear(Store *self)
{
    Py_CLEAR(self->_queue);
    Py_CLEAR(self->_lanes);
    Py_CLEAR(self->_all_lanes);
    Py_CLEAR(self->lane);
    return 0;
}

static void store_dealloc(Store *self)
{
    PyObject_GC_UnTrack(self);
    store_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMemberDef store_members[] = {
    {"_queue", T_OBJECT_EX, offsetof(Store, _queue), 0, NULL},
    {"_lanes", T_OBJECT_EX, offsetof(Store, _lanes), 0, NULL},
    {"_all_lanes", T_OBJECT_EX, offsetof(Store, _all_lanes), 0, NULL},
    {"max_bytes", T_LONGLONG, offsetof(Store, max_bytes), 0, NULL},
    {"_max_items", T_LONGLONG, offsetof(Store, _max_items), 0, NULL},
    {"_drained_bytes", T_LONGLONG, offsetof(Store, _drained_bytes), 0, NULL},
    {NULL},
};

static PyTypeObject StoreType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "mlmon_sidecar.capture._tap.Store",
    .tp_basicsize = sizeof(Store),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_doc = "The members of Handoff that each exchange needs.",
    .tp_new = PyType_GenericNew,
    .tp_dealloc = (destructor)store_dealloc,
    .tp_traverse = (traverseproc)store_traverse,
    .tp_clear = (inquiry)store_clear,
    .tp_members = store_members,
};

/* This thread's lane, borrowed. NULL: not made yet, or raised. */
static Lane *lane_of(Store *store)
{
    unsigned long thread = PyThread_get_thread_ident();
    if (store->lane == NULL || store->thread != thread) {
        PyObject *ident = POINT() ? NULL : PyLong_FromUnsignedLong(thread), *lane;
        if (ident == NULL)
            return NULL;
        lane = store->_lanes == NULL || !PyDict_CheckExact(store->_lanes) ? NULL : item_of(store->_lanes, ident);
        Py_DECREF(ident);
        if (lane == NULL || !Py_IS_TYPE(lane, &LaneType)) {
            Py_XDECREF(lane);
            return NULL;
        }
        put_in(&store->lane, lane);
        store->thread = thread;
    }
    return (Lane *)store->lane;
}

/* An entry of the queue: an exchange whose flat tuple is made by who takes it out. Texts, numbers, headers and chunks are in
 * no cycle, and exchanges wait in numbers: the collector has nothing to look at here.
 *
 * ``response`` is bytes, or of a stream the list of them. */
#define KEPT(X) X(prediction_id) X(model) X(method) X(path) X(started_ns) X(first_byte_ns) X(ended_ns) X(status) X(end) \
    X(request_headers) X(request) X(response_headers) X(response) X(trace_id) X(span_id) X(sampled) X(times)
#define FIELD(name) PyObject *name;
#define VISIT(name) Py_VISIT(self->name);
#define CLEAR(name) Py_CLEAR(self->name);
typedef struct {
    PyObject_HEAD
    KEPT(FIELD)
    long long size, response_bytes;
} Kept;

static void kept_dealloc(Kept *self)
{
    KEPT(CLEAR)
    PyObject_Free(self);
}

/* A body of one piece into the tuple of an exchange. */
static int one_piece(PyObject *body, PyObject **chunks, PyObject **length)
{
    *length = PyLong_FromSsize_t(PyBytes_GET_SIZE(body));
    *chunks = PyBytes_GET_SIZE(body) == 0 ? Py_NewRef(empty_tuple) : PyTuple_Pack(1, body);
    return POINT() || *chunks == NULL || *length == NULL ? -1 : 0;
}

/* The chunks of a stream, the times of the first of them where there are several, their bytes and their number. */
static int many_pieces(Kept *self, PyObject **chunks, PyObject **times, PyObject **length, PyObject **number)
{
    *chunks = PyList_AsTuple(self->response);
    *number = PyLong_FromSsize_t(PyList_GET_SIZE(self->response));
    *length = PyLong_FromLongLong(self->response_bytes);
    *times = PyList_GET_SIZE(self->response) > 1 ? PyList_AsTuple(self->times) : Py_NewRef(empty_tuple);
    return POINT() || *chunks == NULL || *number == NULL || *length == NULL || *times == NULL ? -1 : 0;
}

/* The flat tuple, in the order of ``Exchange``'s fields. */
static PyObject *flat(Kept *self)
{
    PyObject *request = NULL, *request_bytes = NULL, *response = NULL, *response_bytes = NULL, *times = NULL, *number = NULL;
    PyObject *exchange = NULL;
    int done = one_piece(self->request, &request, &request_bytes);
    if (done == 0 && PyList_CheckExact(self->response))
        done = many_pieces(self, &response, &times, &response_bytes, &number);
    else if (done == 0 && (done = one_piece(self->response, &response, &response_bytes)) == 0) {
        times = Py_NewRef(empty_tuple);
        number = Py_NewRef(response == empty_tuple ? zero : one);
    }
    if (done == 0)
        exchange = PyTuple_Pack(23, self->prediction_id, self->model, self->method, self->path, self->started_ns,
                                self->first_byte_ns, self->ended_ns, self->status, self->end, empty_text,
                                self->request_headers, request, request_bytes, self->response_headers, response,
                                response_bytes, self->trace_id, self->span_id, self->sampled, empty_tuple, times, number,
                                empty_tuple);
    Py_XDECREF(request);
    Py_XDECREF(request_bytes);
    Py_XDECREF(response);
    Py_XDECREF(response_bytes);
    Py_XDECREF(times);
    Py_XDECREF(number);
    return exchange;
}

/* As the other entries unpack: the exchange and its size. */
static PyObject *kept_iterator(Kept *self)
{
    PyObject *exchange = flat(self);
    PyObject *entry = exchange == NULL ? NULL : Py_BuildValue("(NL)", exchange, self->size);
    PyObject *iterator = entry == NULL ? NULL : PyObject_GetIter(entry);
    Py_XDECREF(entry);
    return iterator;
}

static PyTypeObject KeptType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "mlmon_sidecar.capture._tap.Kept",
    .tp_basicsize = sizeof(Kept),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_doc = "Unpacks into an exchange and its size.",
    .tp_dealloc = (destructor)kept_dealloc,
    .tp_iter = (getiterfunc)kept_iterator,
};

/* ``Handoff.put`` where there is room: 1 put, 0 for the method to decide, -1 raised; changed only by 1. */
static int put_where_room(Store *store, Kept *kept)
{
    long long size = kept->size;
    Lane *mine = POINT() ? NULL : lane_of(store);
    if (mine == NULL)
        return PyErr_Occurred() ? -1 : 0;
    if (store->_queue == NULL || !Py_IS_TYPE(store->_queue, QUEUE) || store->_all_lanes == NULL || !PyTuple_CheckExact(store->_all_lanes))
        return 0;
    long long queued = size - store->_drained_bytes;
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(store->_all_lanes); at++) {
        Lane *lane = (Lane *)PyTuple_GET_ITEM(store->_all_lanes, at);
        if (!Py_IS_TYPE(lane, &LaneType))
            return 0;
        queued += lane->bytes_queued;
    }
    Py_ssize_t waiting = POINT() ? -1 : PyObject_Size(store->_queue);
    if (waiting < 0)
        return -1;
    if (queued > store->max_bytes || waiting >= store->_max_items)
        return 0;
    int done = -1;
    PyObject *queue = Py_NewRef(store->_queue), *appended;
    Py_INCREF(mine);
    mine->accepted++; /* before the append: a reader must never see more drained than accepted */
    PyObject *both[] = {queue, (PyObject *)kept};
    appended = POINT() ? NULL : PyObject_Vectorcall(QUEUE_APPEND, both, 2, NULL);
    if (appended == NULL)
        mine->accepted--;
    else {
        mine->bytes_queued += size;
        done = 1;
    }
    Py_XDECREF(appended);
    Py_DECREF(queue);
    Py_DECREF(mine);
    return done;
}

/* ---------------------------------------------------------------- what ``BodyTap`` and ``StreamTap`` keep */

typedef struct {
    PyObject_HEAD
    PyObject *chunks, *times, *_looked, *_now, *_tail;
    Py_ssize_t room, _cap, _granted, _passed, _tail_bytes;
    char _keeps_tail;
} Body;

#define KEEPS(X) X(chunks) X(times) X(_looked) X(_now) X(_tail)

static int body_traverse(Body *self, visitproc visit, void *arg)
{
    KEEPS(VISIT)
    return 0;
}

static int body_clear(Body *self)
{
    KEEPS(CLEAR)
    return 0;
}

static void body_dealloc(Body *self)
{
    PyObject_GC_UnTrack(self);
    body_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

#define BODY_OBJECT(name) {#name, T_OBJECT_EX, offsetof(Body, name), 0, NULL},
#define BODY_SIZE(name) {#name, T_PYSSIZET, offsetof(Body, name), 0, NULL},
static PyMemberDef body_members[] = {
    KEEPS(BODY_OBJECT)
    BODY_SIZE(room) BODY_SIZE(_cap) BODY_SIZE(_granted) BODY_SIZE(_passed) BODY_SIZE(_tail_bytes)
    {"_keeps_tail", T_BOOL, offsetof(Body, _keeps_tail), 0, NULL},
    {NULL},
};

static PyTypeObject BodyType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "mlmon_sidecar.capture._tap.Body",
    .tp_basicsize = sizeof(Body),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_doc = "The members of BodyTap and StreamTap.",
    .tp_new = PyType_GenericNew,
    .tp_dealloc = (destructor)body_dealloc,
    .tp_traverse = (traverseproc)body_traverse,
    .tp_clear = (inquiry)body_clear,
    .tp_members = body_members,
};

/* ---------------------------------------------------------------- what a ``Capture`` asks for */

/* The member of ``Faults`` that each request needs. */
typedef struct {
    PyObject_HEAD
    char tripped;
} Fuse;

static PyMemberDef fuse_members[] = {
    {"tripped", T_BOOL, offsetof(Fuse, tripped), 0, NULL},
    {NULL},
};

static PyTypeObject FuseType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "mlmon_sidecar.capture._tap.Fuse",
    .tp_basicsize = sizeof(Fuse),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_doc = "The member of Faults that each request needs.",
    .tp_new = PyType_GenericNew,
    .tp_members = fuse_members,
};

#define MOST_NAMES 64

/* Header names, by their length: few have the same, so that looking for one costs less than its hash. */
typedef struct {
    PyObject *set;
    PyObject *names[MOST_NAMES];
    char upper[MOST_NAMES]; /* whether it has such letters: the lower case is kept */
    int count; /* -1: too many, or not of bytes: the set is asked */
    signed char first[64], next[MOST_NAMES]; /* of a length modulo 64; -1: no other */
} Names;

/* What is asked of ``Capture`` and its options on each request, read once: they never change. */
typedef struct {
    PyObject_HEAD
    PyObject *handoff, *span_hook, *id_header, *now, *known, *faults, *may_ignore;
    PyObject *idle_variable, *idle_value, *idle_module; /* of the hook: how it says that there is nothing to ask */
    Names asked, answered;
    Py_ssize_t max_body_bytes, max_stream_bytes;
    char monotonic; /* ``now`` is ``time.monotonic_ns``, the reading of a clock that C has too */
} Plan;

#define PLANNED(X) X(handoff) X(span_hook) X(id_header) X(now) X(known) X(faults) X(may_ignore) X(idle_variable) \
    X(idle_value) X(idle_module) X(asked.set) X(answered.set)

static int plan_traverse(Plan *self, visitproc visit, void *arg)
{
    PLANNED(VISIT)
    return 0;
}

static void plan_dealloc(Plan *self) /* no tp_clear: the cycles through here go through dictionaries too */
{
    PyObject_GC_UnTrack(self);
    for (int at = 0; at < self->asked.count; at++)
        Py_DECREF(self->asked.names[at]);
    for (int at = 0; at < self->answered.count; at++)
        Py_DECREF(self->answered.names[at]);
    PLANNED(CLEAR)
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static int has_upper(PyObject *name)
{
    const char *at = PyBytes_AS_STRING(name), *end = at + PyBytes_GET_SIZE(name);
    for (; at < end; at++)
        if (*at >= 'A' && *at <= 'Z')
            return 1;
    return 0;
}

static int read_names(PyObject *options, PyObject *attribute, Names *into)
{
    memset(into->first, -1, sizeof into->first);
    if ((into->set = PyObject_GetAttr(options, attribute)) == NULL)
        return -1;
    if (!PyFrozenSet_CheckExact(into->set) || PySet_GET_SIZE(into->set) > MOST_NAMES) {
        into->count = -1;
        return 0;
    }
    PyObject *all = PySequence_Tuple(into->set);
    if (all == NULL)
        return -1;
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(all); at++)
        if (!PyBytes_CheckExact(PyTuple_GET_ITEM(all, at))) {
            Py_DECREF(all);
            into->count = -1;
            return 0;
        }
    for (; into->count < PyTuple_GET_SIZE(all); into->count++) {
        into->names[into->count] = Py_NewRef(PyTuple_GET_ITEM(all, into->count));
        into->upper[into->count] = (char)has_upper(into->names[into->count]);
        signed char *first = &into->first[PyBytes_GET_SIZE(into->names[into->count]) & 63];
        into->next[into->count] = *first;
        *first = (signed char)into->count;
    }
    Py_DECREF(all);
    return 0;
}

/* Whether ``name``, bytes, is one of ``names``: 1, 2 where it has upper case, 0, or -1 raised. */
static int is_one_of(Names *names, PyObject *name)
{
    Py_ssize_t length = PyBytes_GET_SIZE(name);
    if (names->count < 0) {
        int is_in = PySet_Contains(names->set, name);
        return is_in > 0 ? 1 + has_upper(name) : is_in;
    }
    const char *text = PyBytes_AS_STRING(name);
    for (int at = names->first[length & 63]; at >= 0; at = names->next[at]) {
        const char *mine = PyBytes_AS_STRING(names->names[at]);
        if (*mine == *text && PyBytes_GET_SIZE(names->names[at]) == length && memcmp(mine, text, (size_t)length) == 0)
            return 1 + names->upper[at];
    }
    return 0;
}

static int read_clock(PyObject *capture, Plan *plan)
{
    if ((plan->now = PyObject_GetAttr(capture, s_now)) == NULL)
        return -1;
#ifdef __linux__
    PyObject *module = PyImport_ImportModule("time");
    PyObject *usual = module == NULL ? NULL : PyObject_GetAttrString(module, "monotonic_ns");
    Py_XDECREF(module);
    Py_XDECREF(usual);
    if (usual == NULL)
        return -1;
    plan->monotonic = plan->now == usual;
#endif
    return 0;
}

/* An option in bytes. -1: raised. */
static Py_ssize_t read_most(PyObject *options, PyObject *name)
{
    PyObject *most = PyObject_GetAttr(options, name);
    Py_ssize_t found = most == NULL ? -1 : PyLong_AsSsize_t(most);
    Py_XDECREF(most);
    return found;
}

static int read_idle(Plan *plan)
{
    PyObject *idle = IS_NONE(plan->span_hook) ? NULL : PyObject_GetAttr(plan->span_hook, s_idle);
    if (idle == NULL) {
        if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_AttributeError))
            return -1;
        PyErr_Clear();
        return 0;
    }
    if (PyTuple_CheckExact(idle) && PyTuple_GET_SIZE(idle) == 3 && PyContextVar_CheckExact(PyTuple_GET_ITEM(idle, 0))
        && PyUnicode_CheckExact(PyTuple_GET_ITEM(idle, 2))) {
        plan->idle_variable = Py_NewRef(PyTuple_GET_ITEM(idle, 0));
        plan->idle_value = Py_NewRef(PyTuple_GET_ITEM(idle, 1));
        plan->idle_module = Py_NewRef(PyTuple_GET_ITEM(idle, 2));
    }
    Py_DECREF(idle);
    return 0;
}

static PyObject *plan_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *capture, *options = NULL, *selection = NULL;
    if (!PyArg_UnpackTuple(args, "Plan", 1, 1, &capture))
        return NULL;
    Plan *self = (Plan *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    if ((options = PyObject_GetAttr(capture, s_options)) == NULL
        || (selection = PyObject_GetAttr(capture, s_selection)) == NULL
        || (self->known = PyObject_GetAttr(selection, s__known)) == NULL
        || (self->handoff = PyObject_GetAttr(capture, s_handoff)) == NULL
        || (self->span_hook = PyObject_GetAttr(capture, s_span_hook)) == NULL
        || (self->faults = PyObject_GetAttr(capture, s_faults)) == NULL
        || (self->may_ignore = PyObject_GetAttr(capture, s_may_ignore)) == NULL
        || (self->id_header = PyObject_GetAttr(options, s_prediction_id_header)) == NULL
        || (self->max_body_bytes = read_most(options, s_max_body_bytes)) < 0
        || (self->max_stream_bytes = read_most(options, s_max_stream_bytes)) < 0
        || read_names(options, s_headers, &self->asked) < 0
        || read_names(options, s_headers_in_any_case, &self->answered) < 0
        || read_clock(capture, self) < 0 || read_idle(self) < 0)
        Py_CLEAR(self);
    Py_XDECREF(options);
    Py_XDECREF(selection);
    return (PyObject *)self;
}

static PyTypeObject PlanType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "mlmon_sidecar.capture._tap.Plan",
    .tp_basicsize = sizeof(Plan),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "Plan(capture): what is asked of it on each request.",
    .tp_new = plan_new,
    .tp_dealloc = (destructor)plan_dealloc,
    .tp_traverse = (traverseproc)plan_traverse,
};

/* Whether no module of that name was imported: 1, 0, or -1 raised. Asked again only where one was since. */
static int not_imported(PyObject *name)
{
    PyObject *modules = PyImport_GetModuleDict();
#if PY_VERSION_HEX < 0x030C0000 /* PEP 509, withdrawn in 3.12 */
    static PyObject *sought = NULL;
    static uint64_t in_version = 0;
    uint64_t version = ((PyDictObject *)modules)->ma_version_tag;
    if (name == sought && version == in_version)
        return 1;
#endif
    if (PyDict_GetItemWithError(modules, name) != NULL)
        return 0;
    if (PyErr_Occurred())
        return -1;
#if PY_VERSION_HEX < 0x030C0000
    put_in(&sought, Py_NewRef(name));
    in_version = version;
#endif
    return 1;
}

/* Whether the hook finds nothing, without asking it: 1, 0, or -1 raised. */
static int nothing_traces(Plan *plan, int at_start)
{
    if (plan->idle_variable == NULL)
        return 0;
    PyObject *value = NULL;
    int absent = not_imported(plan->idle_module);
    if (absent <= 0)
        return absent;
    if (!at_start)
        return 1;
    if (PyContextVar_Get(plan->idle_variable, NULL, &value) < 0) /* NULL: its own default is wanted */
        return -1;
    Py_XDECREF(value);
    return value == plan->idle_value;
}

/* ---------------------------------------------------------------- the state of an exchange */

#define STATE(X) X(_capture) X(_first_byte_ns) X(_flowing) X(_receive) X(_request) X(_request_headers) \
    X(_request_tap) X(_response) X(_response_headers) X(_scope) X(_send) X(_send_raises) X(_span) X(_started_ns) \
    X(_status) X(_stream) X(model) X(prediction_id)
typedef struct Tap Tap;

/* The taps whose application is called, in a list through themselves: a set costs ten times as much. Not theirs to
 * keep: a tap holds this object while it is in here, and leaves when it goes. */
typedef struct {
    PyObject_HEAD
    Tap *first;
    Py_ssize_t count;
} Active;

struct Tap {
    PyObject_HEAD
    STATE(FIELD)
    Plan *plan;
    PyObject *token; /* of CURRENT, while the application is called */
    Active *active; /* where it is meanwhile, if anywhere */
    Tap *before, *after; /* in there */
    PyObject *method, *path; /* of the scope, where they were read as it opened */
    PyObject *annotations; /* NULL until asked for */
    Py_ssize_t _size;
    char _open, _disconnected;
};

static void enter(Active *active, Tap *tap)
{
    tap->active = (Active *)Py_NewRef(active);
    tap->before = NULL;
    tap->after = active->first;
    if (tap->after != NULL)
        tap->after->before = tap;
    active->first = tap;
    active->count++;
}

static void leave(Tap *tap)
{
    Active *active = tap->active;
    if (active == NULL)
        return;
    if (tap->after != NULL)
        tap->after->before = tap->before;
    *(tap->before != NULL ? &tap->before->after : &active->first) = tap->after;
    active->count--;
    tap->active = NULL;
    Py_DECREF(active);
}

#define MEMBER(name) {#name, T_OBJECT_EX, offsetof(Tap, name), 0, NULL},
static PyMemberDef tap_members[] = {
    STATE(MEMBER)
    {"_size", T_PYSSIZET, offsetof(Tap, _size), 0, NULL},
    {"_open", T_BOOL, offsetof(Tap, _open), 0, NULL},
    {"_disconnected", T_BOOL, offsetof(Tap, _disconnected), 0, NULL},
    {NULL},
};

static int tap_traverse(Tap *self, visitproc visit, void *arg)
{
    STATE(VISIT)
    Py_VISIT(self->plan);
    Py_VISIT(self->token);
    Py_VISIT(self->annotations);
    return 0;
}

/* None and not NULL: a finaliser among the garbage may still call what the application was given. */
#define LET_GO(name) SET(self->name, Py_None);
static int tap_clear(Tap *self)
{
    self->_open = 0;
    STATE(LET_GO)
    Py_CLEAR(self->token);
    Py_CLEAR(self->annotations);
    return 0;
}

/* Each request makes one, and lets go of it before the next, as a rule: kept for that, as the interpreter keeps its own. */
#define MOST_FREE 16
static Tap *taps[MOST_FREE];
static int free_taps = 0;

static void tap_dealloc(Tap *self)
{
    PyObject_GC_UnTrack(self);
    leave(self);
    STATE(CLEAR)
    Py_CLEAR(self->plan);
    Py_CLEAR(self->token);
    Py_CLEAR(self->method);
    Py_CLEAR(self->path);
    Py_CLEAR(self->annotations);
    if (Py_IS_TYPE(self, EXCHANGE_TAP) && free_taps < MOST_FREE)
        taps[free_taps++] = self;
    else
        Py_TYPE(self)->tp_free((PyObject *)self);
}

#define START_EMPTY(name) self->name = Py_NewRef(Py_None);
static PyObject *tap_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    Tap *self;
    if (type == EXCHANGE_TAP && free_taps > 0) {
        self = (Tap *)PyObject_Init((PyObject *)taps[--free_taps], type);
        self->_open = self->_disconnected = 0;
        self->_size = 0;
        STATE(START_EMPTY)
        PyObject_GC_Track(self);
    }
    else if ((self = (Tap *)type->tp_alloc(type, 0)) != NULL) {
        STATE(START_EMPTY)
    }
    return (PyObject *)self;
}

static int tap_init(Tap *self, PyObject *args, PyObject *keywords)
{
    PyObject *capture, *model, *scope, *plan;
    if (keywords != NULL && PyDict_GET_SIZE(keywords) != 0) {
        PyErr_SetString(PyExc_TypeError, "ExchangeTap takes positional arguments only");
        return -1;
    }
    if (!PyArg_UnpackTuple(args, "ExchangeTap", 3, 3, &capture, &model, &scope))
        return -1;
    if ((plan = PyObject_GetAttr(capture, s_plan)) == NULL)
        return -1;
    if (!Py_IS_TYPE(plan, &PlanType)) {
        Py_DECREF(plan);
        PyErr_SetString(PyExc_TypeError, "a capture has its plan");
        return -1;
    }
    put_in((PyObject **)&self->plan, plan);
    self->_open = 0;
    SET(self->_capture, capture);
    SET(self->_scope, scope);
    SET(self->model, model);
    SET(self->_request_tap, Py_None);
    SET(self->_stream, Py_None);
    SET(self->_flowing, Py_None);
    return 0;
}

/* An exception of ours is set: count it and let go, by the method that does so. Only what is no Exception stays set. */
static int abandon(Tap *self, const char *component)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    Raised raised;
    keep(&raised);
    PyObject *error = error_of(&raised);
    PyObject *done = PyObject_CallMethod((PyObject *)self, "_abandon", "sO", component, error);
    Py_XDECREF(raised.type);
    Py_XDECREF(raised.value);
    Py_XDECREF(raised.traceback);
    if (done == NULL && PyErr_ExceptionMatches(PyExc_Exception))
        PyErr_Clear(); /* nobody is left to be told */
    Py_XDECREF(done);
    return PyErr_Occurred() ? -1 : 0;
}

/* The same for what costs an exchange nothing: ``faults.count(component, error)``. */
static int count(Tap *self, const char *component)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    Raised raised;
    keep(&raised);
    PyObject *error = error_of(&raised), *faults = PyObject_GetAttr(self->_capture, s_faults);
    PyObject *done = faults == NULL ? NULL : PyObject_CallMethod(faults, "count", "sO", component, error);
    Py_XDECREF(faults);
    Py_XDECREF(raised.type);
    Py_XDECREF(raised.value);
    Py_XDECREF(raised.traceback);
    if (done == NULL && PyErr_ExceptionMatches(PyExc_Exception))
        PyErr_Clear();
    Py_XDECREF(done);
    return PyErr_Occurred() ? -1 : 0;
}

/* ``ns``, where it is asked for: the reading as a number, 0 where it is another clock's. */
static PyObject *now(Tap *self, long long *ns)
{
    if (ns != NULL)
        *ns = 0;
    if (POINT())
        return NULL;
#ifdef __linux__
    struct timespec reading;
    if (self->plan->monotonic && clock_gettime(CLOCK_MONOTONIC, &reading) == 0) {
        long long found = (long long)reading.tv_sec * SECOND_NS + reading.tv_nsec;
        if (ns != NULL)
            *ns = found;
        return PyLong_FromLongLong(found);
    }
#endif
    return PyObject_CallNoArgs(self->plan->now);
}

/* ``_wanted``: lists and tuples of pairs of bytes are looked through here, anything else there. New reference. */
static PyObject *wanted(Tap *self, PyObject *headers, Names *names)
{
    PyObject *kept[16], *result = NULL;
    Py_ssize_t found = 0, size = 0;
    if (POINT())
        return NULL;
    if (!PyList_CheckExact(headers) && !PyTuple_CheckExact(headers))
        goto leave;
    /* Bytes are compared without any code of others: the list stays as it is. */
    PyObject **pairs_of = PySequence_Fast_ITEMS(headers), **last = pairs_of + PySequence_Fast_GET_SIZE(headers);
    for (; pairs_of < last; pairs_of++) {
        PyObject *pair = *pairs_of;
        if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2)
            goto leave;
        PyObject *name = PyTuple_GET_ITEM(pair, 0), *value = PyTuple_GET_ITEM(pair, 1);
        if (!PyBytes_CheckExact(name))
            goto leave;
        int is_in = is_one_of(names, name);
        if (is_in < 0)
            goto release;
        if (!is_in)
            continue;
        if (found == 16 || is_in == 2 || !PyBytes_CheckExact(value))
            goto leave;
        kept[found++] = Py_NewRef(pair);
        size += header_bytes + PyBytes_GET_SIZE(value);
    }
    if (found == 0)
        return Py_NewRef(empty_tuple);
    if (POINT() || (result = PyTuple_New(found)) == NULL)
        goto release;
    while (found-- > 0)
        PyTuple_SET_ITEM(result, found, kept[found]);
    PyObject_GC_UnTrack(result); /* pairs of bytes are in no cycle, and exchanges wait in numbers */
    self->_size += size;
    return result;
release:
    while (found-- > 0)
        Py_DECREF(kept[found]);
    return NULL;
leave:
    while (found-- > 0)
        Py_DECREF(kept[found]);
    return PyObject_CallMethodObjArgs((PyObject *)self, s__wanted, headers, names->set, NULL);
}

/* The span that ``which`` of the hook names, NO_SPAN without one. A fault of it costs the span, not the exchange. */
static PyObject *span_of(Tap *self, PyObject *which)
{
    int idle = POINT() ? -1 : nothing_traces(self->plan, which == s_current);
    if (idle == 1)
        return Py_NewRef(NO_SPAN);
    PyObject *span = idle < 0 ? NULL : PyObject_CallMethodNoArgs(self->plan->span_hook, which);
    int said = span == NULL ? -1 : span == Py_None ? 0 : PyObject_IsTrue(span);
    if (said == 1)
        return span;
    Py_XDECREF(span);
    if (said < 0 && count(self, "span") < 0)
        return NULL;
    return Py_NewRef(NO_SPAN);
}

/* Whether ``send`` raises where the client is gone: 1, 0, -1 raised, 2 for the method there to say. The caller holds on to
 * ``asgi``. */
static int send_raises(PyObject *asgi)
{
    static PyObject *silent_one = NULL; /* a server says the very same object each time */
    PyObject *key, *value, *version;
    Py_ssize_t at = 0;
    if (asgi == NULL)
        return 0;
    if (!PyDict_CheckExact(asgi))
        return 2;
    while (PyDict_Next(asgi, &at, &key, &value))
        if (key == s_spec_version && value == silent_one && value != NULL)
            return 0;
    version = item_of(asgi, s_spec_version);
    int said = version != NULL ? PySet_Contains(SEND_IS_SILENT, version) : PyErr_Occurred() ? -1 : 1;
    if (said == 1 && version != NULL && PyUnicode_CheckExact(version))
        put_in(&silent_one, Py_NewRef(version));
    Py_XDECREF(version);
    return said < 0 ? -1 : !said;
}

/* What is asked of a scope, NULL where it says nothing. */
#define ASKED(X) X(type) X(asgi) X(headers) X(method) X(path) X(root_path)
typedef struct {
    ASKED(FIELD)
} Asked;

#define ASK(name) \
    if ((asked->name = item_of(scope, s_##name)) == NULL && PyErr_Occurred()) \
        return -1;
#define FORGET(name) Py_CLEAR(asked->name);

static void forget(Asked *asked)
{
    ASKED(FORGET)
}

/* 1, 0 where it is not of an ordinary kind, or -1 raised; to ``forget`` in any case. Look-ups and no walk, as over messages:
 * a scope has more than twice as many items as are asked for. */
static int read_scope(PyObject *scope, Asked *asked)
{
    memset(asked, 0, sizeof *asked);
    if (!PyDict_CheckExact(scope))
        return 0;
    ASKED(ASK)
    return 1;
}

/* ``_begin`` for a scope of which ``asked`` was read and that no outer tap watches. NULL: raised. */
static PyObject *begin(Tap *self, PyObject *receive, PyObject *send, const Asked *asked)
{
    PyObject *value;
    int raises = POINT() ? -1 : asked != NULL ? send_raises(asked->asgi) : 2;
    if (raises < 0)
        return NULL;
    if (raises == 2)
        return PyObject_CallMethodObjArgs((PyObject *)self, s__begin, self->_scope, receive, send, NULL);
    long long started_ns;
    if ((value = now(self, &started_ns)) == NULL)
        return NULL;
    put_in(&self->_started_ns, value);
    SET(self->_first_byte_ns, zero);
    SET(self->_status, zero);
    SET(self->_send_raises, raises ? Py_True : Py_False);
    self->_disconnected = 0;
    self->_size = exchange_bytes;
    SET(self->_request, empty_bytes);
    SET(self->_response, empty_bytes);
    SET(self->_response_headers, empty_tuple);
    Py_CLEAR(self->annotations);
    value = asked->headers == NULL ? Py_NewRef(empty_tuple) : wanted(self, asked->headers, &self->plan->asked);
    if (value == NULL)
        return NULL;
    put_in(&self->_request_headers, value);
    if ((value = new_id(started_ns)) == NULL)
        return NULL;
    put_in(&self->prediction_id, value);
    value = IS_NONE(self->plan->span_hook) ? Py_NewRef(NO_SPAN) : span_of(self, s_current);
    if (value == NULL)
        return NULL;
    put_in(&self->_span, value);
    PyObject *token = POINT() ? NULL : PyContextVar_Set(CURRENT, (PyObject *)self);
    if (token != NULL)
        self->_open = 1;
    return token;
}

/* Whether no tap is open in this context: 1, 0, or -1 raised. */
static int none_open(void)
{
    PyObject *outer;
    if (POINT() || PyContextVar_Get(CURRENT, Py_None, &outer) < 0)
        return -1;
    Py_DECREF(outer);
    return IS_NONE(outer);
}

/* Whether it watches from here on: 1, 0, or -1 with what is no Exception. ``alone``: what ``none_open`` said; then
 * ``asked`` is what was read of the scope, or NULL. */
static int tap_began(Tap *self, PyObject *receive, PyObject *send, int alone, const Asked *asked)
{
    if (IS_NONE(self->_scope)) {
        PyErr_SetString(PyExc_AssertionError, "a tap serves one request");
        return -1;
    }
    SET(self->_receive, receive);
    SET(self->_send, send);
    PyObject *token = alone < 0 ? NULL : begin(self, receive, send, alone ? asked : NULL);
    if (token == NULL)
        return abandon(self, "begin");
    if (IS_NONE(token)) {
        Py_DECREF(token);
        return 0;
    }
    put_in(&self->token, token);
    return 1;
}

static PyObject *tap_begin(Tap *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "begin() takes receive and send");
        return NULL;
    }
    Asked asked;
    int usual = read_scope(self->_scope, &asked), alone = usual < 0 ? -1 : IS_NONE(self->_scope) ? 0 : none_open();
    int began = tap_began(self, args[0], args[1], alone, usual > 0 ? &asked : NULL);
    forget(&asked);
    return began < 0 ? NULL : PyBool_FromLong(began);
}

/* The call is over, by ``error`` or None. NULL only with what is no Exception, out of code of ours: an interrupt. */
static PyObject *tap_end(Tap *self, PyObject *error)
{
    PyObject *token = self->token;
    int failed = 0;
    self->token = NULL;
    if (token != NULL) {
        failed = (POINT() || PyContextVar_Reset(CURRENT, token) < 0) && count(self, "context") < 0;
        Py_DECREF(token);
        if (self->_open && !failed) {
            PyObject *ended = PyObject_CallMethodOneArg((PyObject *)self, s__end_with, error);
            failed = ended == NULL && abandon(self, "end") < 0;
            Py_XDECREF(ended);
        }
        SET(self->_scope, Py_None);
    }
    leave(self);
    if (failed)
        return NULL;
    Py_RETURN_NONE;
}

/* ---------------------------------------------------------------- what goes by */

/* Bytes that went by, of which all were kept: -1 where not, or more than C counts. */
static long long whole(Body *stream)
{
    if (!Py_IS_TYPE(stream, STREAM_TAP) || stream->_passed != 0 || stream->chunks == NULL || !PyList_CheckExact(stream->chunks)
        || stream->times == NULL || !PyList_CheckExact(stream->times) || stream->_looked == NULL
        || !PyLong_CheckExact(stream->_looked))
        return -1;
    int overflow;
    long long looked = PyLong_AsLongLongAndOverflow(stream->_looked, &overflow);
    return overflow || looked < 0 ? -1 : looked + stream->_granted - stream->room;
}

/* What goes into the queue, and its size. ``streamed``: bytes of the stream, where there is one. */
static Kept *kept_of(Tap *self, PyObject *now, PyObject *end, long long streamed)
{
    Body *stream = IS_NONE(self->_stream) ? NULL : (Body *)self->_stream;
    PyObject *path = NULL, *method = NULL;
    Kept *kept = NULL;
    path = self->path != NULL ? Py_NewRef(self->path) : item_of(self->_scope, s_path);
    method = self->method != NULL ? Py_NewRef(self->method) : path == NULL ? NULL : item_of(self->_scope, s_method);
    if (path == NULL || method == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetObject(PyExc_KeyError, path == NULL ? s_path : s_method);
        goto end;
    }
    Py_ssize_t length = PyObject_Length(path);
    if (POINT() || length < 0 || POINT() || (kept = PyObject_New(Kept, &KeptType)) == NULL)
        goto end;
    PyObject *span = self->_span, *fields[] = {
        self->prediction_id, self->model, method, path, self->_started_ns, self->_first_byte_ns, now, self->_status, end,
        self->_request_headers, self->_request, self->_response_headers, stream == NULL ? self->_response : stream->chunks,
        PyTuple_GET_ITEM(span, 1), PyTuple_GET_ITEM(span, 2), PyTuple_GET_ITEM(span, 3),
        stream == NULL ? empty_tuple : stream->times,
    };
    PyObject **to = &kept->prediction_id;
    _Static_assert(offsetof(Kept, size) - offsetof(Kept, prediction_id) == sizeof fields, "the fields of Kept");
    for (size_t at = 0; at < sizeof fields / sizeof *fields; at++)
        to[at] = Py_NewRef(fields[at]);
    kept->response_bytes = stream == NULL ? PyBytes_GET_SIZE(kept->response) : streamed;
    Py_ssize_t pieces = stream == NULL ? kept->response_bytes > 0 : PyList_GET_SIZE(kept->response);
    pieces += PyBytes_GET_SIZE(kept->request) > 0;
    kept->size = self->_size + length + chunk_bytes * pieces + PyBytes_GET_SIZE(kept->request) + kept->response_bytes;
    if (stream != NULL) {
        PyObject_GC_UnTrack(kept->response);
        PyObject_GC_UnTrack(kept->times);
    }
end:
    Py_XDECREF(path);
    Py_XDECREF(method);
    return kept;
}

static int hand_over(Tap *self, Kept *kept)
{
    PyObject *handoff = self->plan->handoff;
    int done = Py_IS_TYPE(handoff, (PyTypeObject *)HANDOFF) ? put_where_room((Store *)handoff, kept) : 0;
    if (done == 0) {
        PyObject *exchange = flat(kept), *size = exchange == NULL ? NULL : PyLong_FromLongLong(kept->size);
        PyObject *put = size == NULL ? NULL : PyObject_CallMethodObjArgs(handoff, s_put, exchange, size, NULL);
        done = put == NULL ? -1 : 1;
        Py_XDECREF(exchange);
        Py_XDECREF(size);
        Py_XDECREF(put);
    }
    return done < 0 ? -1 : 0;
}

/* ``_complete`` where all that was seen is kept, the request in one piece. 0, or -1 with what is no Exception. */
static int complete(Tap *self, PyObject *now)
{
    PyObject *end = self->_disconnected ? DISCONNECT : COMPLETE;
    long long streamed = IS_NONE(self->_stream) ? 0 : whole((Body *)self->_stream);
    if (streamed < 0 || !PyDict_CheckExact(self->_scope) || !IS_NONE(self->_request_tap) || !PyTuple_CheckExact(self->_span)
        || PyTuple_GET_SIZE(self->_span) != 4
        || (self->annotations != NULL && (!PyList_CheckExact(self->annotations) || PyList_GET_SIZE(self->annotations) != 0))
        || !PyBytes_CheckExact(self->_request)
        || !PyBytes_CheckExact(self->_response)) {
        PyObject *offered = PyObject_CallMethodObjArgs((PyObject *)self, s__offer, now, end, empty_text, NULL);
        Py_XDECREF(offered);
        return offered == NULL ? -1 : 0;
    }
    self->_open = 0;
    Kept *kept = kept_of(self, now, end, streamed);
    int done = kept == NULL ? -1 : hand_over(self, kept);
    Py_XDECREF(kept);
    if (done < 0)
        return abandon(self, "handoff");
    SET(self->_request, empty_bytes);
    SET(self->_response, empty_bytes);
    SET(self->_span, NO_SPAN);
    SET(self->_stream, Py_None);
    SET(self->_flowing, Py_None);
    return 0;
}

/* ``name`` is ASCII. Literals of a module are the very same object where they look like a name, which those with a dot
 * do not. */
static int is_text(PyObject *text, PyObject *name)
{
    return text == name
        || (PyUnicode_CheckExact(text) && PyUnicode_GET_LENGTH(text) == PyUnicode_GET_LENGTH(name)
            && PyUnicode_IS_COMPACT_ASCII(text)
            && memcmp(PyUnicode_1BYTE_DATA(text), PyUnicode_1BYTE_DATA(name), (size_t)PyUnicode_GET_LENGTH(name)) == 0);
}

enum { TYPE, BODY, MORE, STATUS, HEADERS, PARTS };

/* What is asked of a message, borrowed, by one walk over it: the names are those of a literal, as a rule, hence these very
 * objects. 1, 0 where it is not of an ordinary kind, or -1 raised. */
static int parts_of(PyObject *message, PyObject **parts)
{
    PyObject *const names[PARTS] = {s_type, s_body, s_more_body, s_status, s_headers}, *key, *value;
    Py_ssize_t at = 0, left, others = 0;
    if (!PyDict_CheckExact(message))
        return 0;
    memset(parts, 0, PARTS * sizeof *parts);
    for (left = PyDict_GET_SIZE(message); left > 0 && PyDict_Next(message, &at, &key, &value); left--) {
        if (key == s_type)
            parts[TYPE] = value;
        else if (key == s_body)
            parts[BODY] = value;
        else if (key == s_more_body)
            parts[MORE] = value;
        else if (key == s_status)
            parts[STATUS] = value;
        else if (key == s_headers)
            parts[HEADERS] = value;
        else if (!PyUnicode_CheckExact(key))
            return 0; /* one that may run code when it is compared */
        else
            others++;
    }
    for (int name = 0; name < PARTS && others > 0; name++)
        if (parts[name] == NULL && (parts[name] = PyDict_GetItemWithError(message, names[name])) == NULL && PyErr_Occurred())
            return -1;
    return 1;
}

/* A message that ``receive`` brought. 0, or -1 with what is no Exception. */
static int received(Tap *self, PyObject *message)
{
    PyObject *parts[PARTS], *body;
    int usual = parts_of(message, parts);
    if (usual < 0)
        return abandon(self, "receive");
    if (usual && parts[TYPE] != NULL && is_text(parts[TYPE], s_request)) {
        if ((body = parts[BODY]) == NULL || (PyBytes_CheckExact(body) && PyBytes_GET_SIZE(body) == 0))
            return 0;
        if (PyBytes_CheckExact(body) && IS_NONE(self->_request_tap) && self->_request == empty_bytes
            && PyBytes_GET_SIZE(body) <= self->plan->max_body_bytes) {
            SET(self->_request, body);
            return 0;
        }
    }
    PyObject *done = PyObject_CallMethodOneArg((PyObject *)self, s__received, message);
    if (done == NULL)
        return abandon(self, "receive");
    Py_DECREF(done);
    return 0;
}

/* ``headers``, a list or a tuple, and one more pair. */
static PyObject *one_longer(PyObject *headers, PyObject *pair)
{
    Py_ssize_t length = PySequence_Fast_GET_SIZE(headers);
    PyObject *longer = PyList_New(length + 1);
    if (longer == NULL)
        return NULL;
    if (PySequence_Fast_GET_SIZE(headers) != length) { /* by a collection in the allocation */
        Py_DECREF(longer);
        if ((longer = PySequence_List(headers)) != NULL && PyList_Append(longer, pair) < 0)
            Py_CLEAR(longer);
        return longer;
    }
    PyObject **items = PySequence_Fast_ITEMS(headers);
    for (Py_ssize_t at = 0; at < length; at++)
        PyList_SET_ITEM(longer, at, Py_NewRef(items[at]));
    PyList_SET_ITEM(longer, length, Py_NewRef(pair));
    return longer;
}

static PyObject *ascii_of(PyObject *text)
{
    if (PyUnicode_CheckExact(text) && PyUnicode_IS_COMPACT_ASCII(text))
        return PyBytes_FromStringAndSize((const char *)PyUnicode_1BYTE_DATA(text), PyUnicode_GET_LENGTH(text));
    return PyUnicode_AsASCIIString(text);
}

/* The same answer start with our header behind, on a copy. New reference, or NULL: raised. */
static PyObject *with_id(Tap *self, PyObject *message, PyObject *headers, PyObject *name)
{
    PyObject *value = NULL, *pair = NULL, *longer = NULL, *copy = NULL;
    if (POINT() || (value = ascii_of(self->prediction_id)) == NULL)
        goto end;
    if (POINT() || (pair = PyTuple_New(2)) == NULL)
        goto end;
    PyTuple_SET_ITEM(pair, 0, Py_NewRef(name));
    PyTuple_SET_ITEM(pair, 1, Py_NewRef(value));
    if (POINT() || (longer = one_longer(headers, pair)) == NULL)
        goto end;
    if (POINT() || (copy = PyDict_Copy(message)) == NULL)
        goto end;
    if (POINT() || PyDict_SetItem(copy, s_headers, longer) < 0)
        Py_CLEAR(copy);
end:
    Py_XDECREF(value);
    Py_XDECREF(pair);
    Py_XDECREF(longer);
    return copy;
}

/* An ordinary answer start, in ``*message`` then what is sent instead: 1 seen, 0 for ``_seen`` there, -1 raised. */
static int started(Tap *self, PyObject **message, PyObject **parts)
{
    PyObject *status = parts[STATUS], *headers = parts[HEADERS], *value;
    int seen = -1, overflow = 0;
    if (status == NULL || !PyLong_CheckExact(status) || PyLong_AsLongAndOverflow(status, &overflow) < 200 || overflow
        || headers == NULL || !(PyList_CheckExact(headers) || PyTuple_CheckExact(headers)))
        return 0;
    Py_INCREF(headers);
    SET(self->_status, status);
    if (POINT())
        goto end;
    if (!IS_NONE(self->plan->span_hook)) {
        if (self->_span == NO_SPAN) {
            if ((value = span_of(self, s_inside)) == NULL)
                goto end;
            put_in(&self->_span, value);
        }
        if (self->_span != NO_SPAN) {
            value = PyObject_CallMethodNoArgs((PyObject *)self, s__join_span);
            Py_XDECREF(value);
            if (value == NULL)
                goto end;
        }
    }
    if ((value = wanted(self, headers, &self->plan->answered)) == NULL)
        goto end;
    put_in(&self->_response_headers, value);
    seen = 1;
    if (!IS_NONE(self->plan->id_header)) {
        if ((value = with_id(self, *message, headers, self->plan->id_header)) == NULL)
            seen = -1;
        else
            put_in(message, value);
    }
end:
    Py_DECREF(headers);
    return seen;
}

/* Whether headers name a stream of events: 1, 0, -1 for the method there to say. */
static int is_events(PyObject *headers)
{
    static const char type[] = "content-type";
    const Py_ssize_t length = sizeof type - 1;
    if (!PyTuple_CheckExact(headers))
        return -1;
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(headers); at++) {
        PyObject *pair = PyTuple_GET_ITEM(headers, at), *name, *value;
        if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2 || !PyBytes_CheckExact(name = PyTuple_GET_ITEM(pair, 0))
            || !PyBytes_CheckExact(value = PyTuple_GET_ITEM(pair, 1)))
            return -1;
        if (PyBytes_GET_SIZE(name) != length || memcmp(PyBytes_AS_STRING(name), type, (size_t)length) != 0)
            continue;
        for (Py_ssize_t kind = 0; kind < PyTuple_GET_SIZE(EVENT_STREAMS); kind++) {
            PyObject *start = PyTuple_GET_ITEM(EVENT_STREAMS, kind);
            if (PyOS_mystrnicmp(PyBytes_AS_STRING(value), PyBytes_AS_STRING(start), PyBytes_GET_SIZE(start)) == 0)
                return 1;
        }
        return 0;
    }
    return 0;
}

/* ``_begin_stream``: 1, 0 for the method there, -1 raised. */
static int begin_stream(Tap *self)
{
    int events = is_events(self->_response_headers);
    if (events < 0)
        return 0;
    Body *stream = POINT() ? NULL : (Body *)STREAM_TAP->tp_alloc(STREAM_TAP, 0);
    if (stream == NULL)
        return -1;
    stream->_cap = events ? self->plan->max_stream_bytes : self->plan->max_body_bytes;
    stream->_keeps_tail = (char)events;
    stream->room = stream->_granted = -1; /* until the first chunks are timed */
    stream->_looked = Py_NewRef(zero);
    stream->_now = Py_NewRef(self->plan->now);
    stream->_tail = Py_NewRef(Py_None);
    if ((stream->chunks = PyList_New(0)) == NULL || (stream->times = PyList_New(0)) == NULL) {
        Py_DECREF(stream);
        return -1;
    }
    if (self->_send_raises == Py_False)
        SET(self->_flowing, (PyObject *)stream);
    put_in(&self->_stream, (PyObject *)stream);
    return 1;
}

/* A chunk beyond what was granted, while all are kept: 1 seen, 0 for ``StreamTap._look``, -1 raised. */
static int looked(Tap *self, Body *stream, PyObject *chunk)
{
    long long size = whole(stream);
    if (size < 0 || (size += PyBytes_GET_SIZE(chunk)) > stream->_cap || PyList_GET_SIZE(stream->chunks) >= max_chunks)
        return 0;
    PyObject *times = stream->times, *chunks = stream->chunks, *reading = NULL, *total;
    int timing = PyList_GET_SIZE(times) < timed_chunks, seen = -1;
    Py_INCREF(stream);
    Py_INCREF(times);
    Py_INCREF(chunks);
    if ((!timing || (reading = now(self, NULL)) != NULL) && !POINT() && (total = PyLong_FromLongLong(size)) != NULL) {
        if ((!timing || PyList_Append(times, reading) == 0) && PyList_Append(chunks, chunk) == 0) {
            seen = 1;
            put_in(&stream->_looked, Py_NewRef(total));
            Py_ssize_t most = bytes_a_chunk * (max_chunks - PyList_GET_SIZE(chunks)), rest = stream->_cap - (Py_ssize_t)size;
            if (PyList_GET_SIZE(times) >= timed_chunks)
                stream->room = stream->_granted = rest < most ? rest : most;
        }
        Py_DECREF(total);
    }
    Py_XDECREF(reading);
    Py_DECREF(chunks);
    Py_DECREF(times);
    Py_DECREF(stream);
    return seen;
}

/* A chunk: 1 seen, 0 for ``StreamTap.add``, -1 raised. */
static int add(Tap *self, Body *stream, PyObject *chunk)
{
    Py_ssize_t size = PyBytes_GET_SIZE(chunk);
    if (!Py_IS_TYPE(stream, STREAM_TAP) || stream->chunks == NULL || !PyList_CheckExact(stream->chunks))
        return 0;
    if (stream->room < size)
        return looked(self, stream, chunk);
    stream->room -= size; /* before the append, which may run other code where it collects garbage */
    return PyList_Append(stream->chunks, chunk) < 0 ? -1 : 1;
}

/* A body message: 1 seen, 0 for ``_seen`` there, which goes on from what is done by then, -1 raised. */
static int answered(Tap *self, PyObject **parts)
{
    PyObject *body = parts[BODY] == NULL ? empty_bytes : parts[BODY], *reading = NULL;
    int more = parts[MORE] == Py_True, first = IS_NONE(self->_stream), seen = 1;
    if (POINT())
        return -1;
    if (!PyBytes_CheckExact(body) || (!more && parts[MORE] != NULL && parts[MORE] != Py_False)
        || (first && !more && PyBytes_GET_SIZE(body) > self->plan->max_body_bytes))
        return 0;
    Py_INCREF(body);
    if (first && more)
        seen = begin_stream(self);
    if (seen == 1 && (first || !more) && (reading = now(self, NULL)) == NULL)
        seen = -1;
    if (seen == 1 && first)
        SET(self->_first_byte_ns, reading);
    if (seen == 1 && first && !more)
        SET(self->_response, body);
    else if (seen == 1 && PyBytes_GET_SIZE(body) != 0)
        seen = add(self, (Body *)self->_stream, body);
    if (seen == 1 && !more)
        seen = complete(self, reading) < 0 ? -1 : 1;
    Py_XDECREF(reading);
    Py_DECREF(body);
    return seen;
}

/* A chunk of a stream: 1 seen, 0 for the longer way, -1 raised.
 *
 * One walk over the message instead of two look-ups: the names are those of a literal, as a rule, hence these objects. */
static int flowed(Tap *self, PyObject *message)
{
    PyObject *body = NULL, *more = NULL, *key, *value;
    Py_ssize_t at = 0;
    while ((body == NULL || more == NULL) && PyDict_Next(message, &at, &key, &value)) {
        if (key == s_body)
            body = value;
        else if (key == s_more_body)
            more = value;
    }
    if (more != Py_True || body == NULL || !PyBytes_CheckExact(body) || PyBytes_GET_SIZE(body) == 0)
        return 0;
    if (POINT())
        return -1;
    Py_INCREF(body);
    int seen = add(self, (Body *)self->_flowing, body);
    Py_DECREF(body);
    return seen;
}

/* See a message of the application's go by: what the server gets, the message itself or a copy with the id. */
static PyObject *tap_see(Tap *self, PyObject *message)
{
    PyObject *parts[PARTS];
    int seen = !self->_open;
    Py_INCREF(message);
    if (!IS_NONE(self->_flowing) && PyDict_CheckExact(message))
        seen = flowed(self, message);
    if (seen == 0 && self->_open && (seen = parts_of(message, parts)) == 1) {
        PyObject *kind = parts[TYPE];
        if (kind != s_response_start && kind != NULL && is_text(kind, s_response_body))
            seen = answered(self, parts);
        else if (kind != NULL && is_text(kind, s_response_start))
            seen = started(self, &message, parts);
        else
            seen = 0;
    }
    if (seen == 0 && self->_open)
        put_in(&message, PyObject_CallMethodOneArg((PyObject *)self, s__seen, message));
    else if (seen < 0 && abandon(self, "send") < 0)
        Py_CLEAR(message);
    return message;
}

/* ---------------------------------------------------------------- awaiting on behalf of the application */

/* What ``receive()`` gives. ``inner`` is what is awaited, then its iterator. */
typedef struct {
    PyObject_HEAD
    Tap *tap;
    PyObject *inner;
    char begun, done, running;
} Wait;

static Wait *waits[MOST_FREE];
static int free_waits = 0;

static int wait_traverse(Wait *self, visitproc visit, void *arg)
{
    Py_VISIT(self->tap);
    Py_VISIT(self->inner);
    return 0;
}

static int wait_clear(Wait *self)
{
    self->done = 1; /* a finaliser among the garbage may still step it */
    Py_CLEAR(self->tap);
    Py_CLEAR(self->inner);
    return 0;
}

static void wait_dealloc(Wait *self)
{
    PyObject_GC_UnTrack(self);
    wait_clear(self);
    if (free_waits < MOST_FREE)
        waits[free_waits++] = self;
    else
        PyObject_GC_Del(self);
}

/* What ``await`` takes of an object (PEP 492). Steals it; NULL: raised. */
static PyObject *iterator_of(PyObject *awaitable)
{
    if (PyCoro_CheckExact(awaitable))
        return awaitable;
    PyObject *iterator = NULL;
    PyAsyncMethods *methods = Py_TYPE(awaitable)->tp_as_async;
    if (PyGen_CheckExact(awaitable)) { /* of types.coroutine */
        PyObject *code = PyObject_GetAttr(awaitable, s_gi_code);
        PyObject *flags = code == NULL ? NULL : PyObject_GetAttr(code, s_co_flags);
        long said = flags == NULL ? 0 : PyLong_AsLong(flags);
        Py_XDECREF(code);
        Py_XDECREF(flags);
        if (said & 0x100) /* CO_ITERABLE_COROUTINE */
            return awaitable;
    }
    else if (methods != NULL && methods->am_await != NULL) {
        iterator = methods->am_await(awaitable);
        if (iterator != NULL && !PyIter_Check(iterator)) {
            PyErr_Format(PyExc_TypeError, "__await__() returned non-iterator of type '%.100s'", Py_TYPE(iterator)->tp_name);
            Py_CLEAR(iterator);
        }
        Py_DECREF(awaitable);
        return iterator;
    }
    if (!PyErr_Occurred())
        PyErr_Format(PyExc_TypeError, "object %.100s can't be used in 'await' expression", Py_TYPE(awaitable)->tp_name);
    Py_DECREF(awaitable);
    return NULL;
}

/* After a step of ``inner``: PYGEN_NEXT when it yielded, else all is over. */
static PySendResult wait_stepped(Wait *self, PySendResult step, PyObject **result)
{
    self->running = 0;
    if (step == PYGEN_NEXT)
        return step;
    self->done = 1;
    if (step == PYGEN_RETURN && self->tap->_open && received(self->tap, *result) < 0)
        Py_CLEAR(*result);
    Py_CLEAR(self->inner);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

static int wait_may_step(Wait *self)
{
    if (self->done)
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
    else if (self->running)
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
    else
        return 1;
    return 0;
}

/* The first step. ``inner`` is taken out meanwhile: its last reference may go in there. */
static int wait_iterate(Wait *self)
{
    PyObject *inner = self->inner;
    self->inner = NULL;
    self->inner = iterator_of(inner);
    return self->inner == NULL ? -1 : 0;
}

static PySendResult wait_send(Wait *self, PyObject *value, PyObject **result)
{
    *result = NULL;
    if (!wait_may_step(self))
        return PYGEN_ERROR;
    PySendResult step = PYGEN_RETURN;
    self->running = 1;
    Py_INCREF(self);
    if (!self->begun) {
        self->begun = 1;
        if (wait_iterate(self) < 0)
            step = PYGEN_ERROR;
    }
    if (step != PYGEN_ERROR)
        step = PyIter_Send(self->inner, value, result);
    step = wait_stepped(self, step, result);
    Py_DECREF(self);
    return step;
}

/* In the iterator's protocol: a value, or NULL with StopIteration. */
static PyObject *as_iterator(PySendResult step, PyObject *result)
{
    if (step != PYGEN_RETURN)
        return result;
    PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, result);
    if (stop != NULL)
        PyErr_SetObject(PyExc_StopIteration, stop);
    Py_XDECREF(stop);
    Py_DECREF(result);
    return NULL;
}

static PyObject *wait_next(Wait *self)
{
    PyObject *result;
    PySendResult step = wait_send(self, Py_None, &result);
    return as_iterator(step, result);
}

static PyObject *wait_send_method(Wait *self, PyObject *value)
{
    PyObject *result;
    PySendResult step = wait_send(self, value, &result);
    return as_iterator(step, result);
}

/* As ``raise`` does with the arguments of ``throw``. */
static void raise_as_told(PyObject *args)
{
    PyObject *type = PyTuple_GET_ITEM(args, 0), *value = PyTuple_GET_SIZE(args) > 1 ? PyTuple_GET_ITEM(args, 1) : NULL;
    if (PyExceptionInstance_Check(type))
        PyErr_SetObject((PyObject *)Py_TYPE(type), type);
    else if (PyExceptionClass_Check(type))
        PyErr_SetObject(type, value == NULL ? Py_None : value);
    else
        PyErr_SetString(PyExc_TypeError, "exceptions must be classes or instances deriving from BaseException");
}

static PyObject *wait_throw(Wait *self, PyObject *args)
{
    PyObject *result = NULL, *inner, *throw;
    if (PyTuple_GET_SIZE(args) < 1 || PyTuple_GET_SIZE(args) > 3) {
        PyErr_SetString(PyExc_TypeError, "throw() takes one to three arguments");
        return NULL;
    }
    if (!wait_may_step(self))
        return NULL;
    Py_INCREF(self);
    self->running = 1;
    if (!self->begun && self->inner != NULL)
        wait_iterate(self);
    self->begun = 1;
    PySendResult step = PYGEN_ERROR;
    if (self->inner == NULL) {
        if (!PyErr_Occurred())
            raise_as_told(args);
    }
    else {
        inner = Py_NewRef(self->inner);
        throw = PyObject_GetAttr(inner, s_throw);
        if (throw == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_Clear();
            raise_as_told(args);
        }
        else if (throw != NULL)
            result = PyObject_CallObject(throw, args);
        Py_XDECREF(throw);
        Py_DECREF(inner);
        if (result != NULL)
            step = PYGEN_NEXT;
        else if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
            Raised raised;
            keep(&raised);
            PyObject *stop = error_of(&raised);
            result = PyObject_GetAttrString(stop, "value");
            step = result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
            Py_XDECREF(raised.type);
            Py_XDECREF(raised.value);
            Py_XDECREF(raised.traceback);
        }
    }
    step = wait_stepped(self, step, &result);
    Py_DECREF(self);
    return as_iterator(step, result);
}

static PyObject *wait_close(Wait *self, PyObject *Py_UNUSED(none))
{
    if (self->done)
        Py_RETURN_NONE;
    if (!wait_may_step(self))
        return NULL;
    Py_INCREF(self);
    self->running = 1;
    int closes = self->inner != NULL && (self->begun || PyCoro_CheckExact(self->inner)); /* else not the protocol's */
    PyObject *inner = closes ? Py_NewRef(self->inner) : NULL, *close = closes ? PyObject_GetAttr(inner, s_close) : NULL;
    PyObject *closed = close == NULL ? NULL : PyObject_CallNoArgs(close), *result = NULL;
    if (inner != NULL && close == NULL && PyErr_ExceptionMatches(PyExc_AttributeError))
        PyErr_Clear();
    int own = !PyErr_Occurred();
    if (own)
        PyErr_SetNone(PyExc_GeneratorExit);
    Py_XDECREF(closed);
    Py_XDECREF(close);
    Py_XDECREF(inner);
    wait_stepped(self, PYGEN_ERROR, &result);
    Py_DECREF(self);
    if (own && PyErr_ExceptionMatches(PyExc_GeneratorExit)) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    return NULL;
}

static PyMethodDef wait_methods[] = {
    {"send", (PyCFunction)wait_send_method, METH_O, NULL},
    {"throw", (PyCFunction)wait_throw, METH_VARARGS, NULL},
    {"close", (PyCFunction)wait_close, METH_NOARGS, NULL},
    {NULL},
};

/* What ``inspect.getcoroutinestate`` and debuggers ask of a coroutine: as what is awaited says it. */
static PyObject *wait_state(Wait *self, void *name)
{
    if (self->inner != NULL)
        return PyObject_GetAttrString(self->inner, name);
    if (strcmp(name, "cr_running") == 0 || strcmp(name, "cr_suspended") == 0)
        return PyBool_FromLong(self->running && strcmp(name, "cr_running") == 0);
    Py_RETURN_NONE;
}

#define STATE_OF(name) {name, (getter)wait_state, NULL, NULL, name}
static PyGetSetDef wait_getset[] = {
    STATE_OF("cr_running"), STATE_OF("cr_suspended"), STATE_OF("cr_frame"), STATE_OF("cr_await"), STATE_OF("cr_code"),
    {NULL},
};

static PyAsyncMethods wait_async = {.am_await = PyObject_SelfIter, .am_send = (sendfunc)wait_send};

static PyTypeObject WaitType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "mlmon_sidecar.capture._tap.Wait",
    .tp_basicsize = sizeof(Wait),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_doc = "Awaits the server's receive, for one exchange.",
    .tp_dealloc = (destructor)wait_dealloc,
    .tp_traverse = (traverseproc)wait_traverse,
    .tp_clear = (inquiry)wait_clear,
    .tp_as_async = &wait_async,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = (iternextfunc)wait_next,
    .tp_methods = wait_methods,
    .tp_getset = wait_getset,
};

static Wait *new_wait(Tap *tap, PyObject *inner)
{
    Wait *wait = free_waits > 0 ? (Wait *)PyObject_Init((PyObject *)waits[--free_waits], &WaitType)
                                                 : PyObject_GC_New(Wait, &WaitType);
    if (wait == NULL)
        return NULL;
    wait->tap = (Tap *)Py_NewRef(tap);
    wait->inner = inner;
    wait->begun = wait->done = wait->running = 0;
    PyObject_GC_Track(wait);
    return wait;
}

/* ---------------------------------------------------------------- ``receive`` and ``send`` as the application has them */

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    Tap *tap; /* no tp_clear: every cycle through here goes through the tap, which has one */
} Door;

static Door *doors[MOST_FREE];
static int free_doors = 0;

static int door_traverse(Door *self, visitproc visit, void *arg)
{
    Py_VISIT(self->tap);
    return 0;
}

static void door_dealloc(Door *self)
{
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->tap);
    if (free_doors < MOST_FREE)
        doors[free_doors++] = self;
    else
        PyObject_GC_Del(self);
}

static PyTypeObject DoorType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "mlmon_sidecar.capture._tap.Door",
    .tp_basicsize = sizeof(Door),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_doc = "The application's receive or send, for one exchange.",
    .tp_dealloc = (destructor)door_dealloc,
    .tp_traverse = (traverseproc)door_traverse,
    .tp_vectorcall_offset = offsetof(Door, call),
    .tp_call = PyVectorcall_Call,
};

static PyObject *new_door(Tap *tap, vectorcallfunc call)
{
    Door *door = free_doors > 0 ? (Door *)PyObject_Init((PyObject *)doors[--free_doors], &DoorType)
                                : PyObject_GC_New(Door, &DoorType);
    if (door == NULL)
        return NULL;
    door->call = call;
    door->tap = (Tap *)Py_NewRef(tap);
    PyObject_GC_Track(door);
    return (PyObject *)door;
}

static PyObject *call_receive(PyObject *self, PyObject *const *args, size_t flags, PyObject *names)
{
    if (PyVectorcall_NARGS(flags) != 0 || (names != NULL && PyTuple_GET_SIZE(names) != 0)) {
        PyErr_SetString(PyExc_TypeError, "receive() takes no arguments");
        return NULL;
    }
    Tap *tap = (Tap *)Py_NewRef(((Door *)self)->tap);
    PyObject *receive = Py_NewRef(tap->_receive), *inner = PyObject_CallNoArgs(receive), *wait = NULL;
    Py_DECREF(receive);
    if (inner != NULL && tap->_open) {
        wait = (PyObject *)new_wait(tap, inner);
        if (wait == NULL)
            Py_DECREF(inner);
    }
    else
        wait = inner; /* nothing is left to see */
    Py_DECREF(tap);
    return wait;
}

/* Gives what the server's ``send`` gives. Where that raises when the client is gone, ``_send_watching`` is told of it. */
static PyObject *call_send(PyObject *self, PyObject *const *args, size_t flags, PyObject *names)
{
    Py_ssize_t by_name = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    if (PyVectorcall_NARGS(flags) + by_name != 1 || (by_name == 1 && !is_text(PyTuple_GET_ITEM(names, 0), s_message))) {
        PyErr_SetString(PyExc_TypeError, "send() takes a message");
        return NULL;
    }
    Tap *tap = (Tap *)Py_NewRef(((Door *)self)->tap);
    PyObject *message = tap_see(tap, args[0]), *sent = NULL;
    if (message != NULL) {
        if (tap->_open && tap->_send_raises == Py_True)
            sent = PyObject_CallMethodOneArg((PyObject *)tap, s__send_watching, message);
        else {
            PyObject *send = Py_NewRef(tap->_send);
            sent = PyObject_CallOneArg(send, message);
            Py_DECREF(send);
        }
        Py_DECREF(message);
    }
    Py_DECREF(tap);
    return sent;
}

static PyObject *tap_receive(Tap *self, void *Py_UNUSED(none))
{
    return new_door(self, call_receive);
}

static PyObject *tap_send(Tap *self, void *Py_UNUSED(none))
{
    return new_door(self, call_send);
}

/* ---------------------------------------------------------------- the type */

static PyMethodDef tap_methods[] = {
    {"begin", (PyCFunction)(void (*)(void))tap_begin, METH_FASTCALL, "begin(receive, send): whether it watches from here on."},
    {NULL},
};

/* Handlers that say nothing need no list. Here and not in ``annotate``, which any thread may call. */
static PyObject *tap_annotations(Tap *self, void *Py_UNUSED(none))
{
    if (self->annotations == NULL) {
        PyObject *list = PyList_New(0);
        if (list == NULL)
            return NULL;
        if (self->annotations == NULL) /* still: a collection in the allocation runs other code */
            self->annotations = list;
        else
            Py_DECREF(list);
    }
    return Py_NewRef(self->annotations);
}

static int tap_set_annotations(Tap *self, PyObject *list, void *Py_UNUSED(none))
{
    put_in(&self->annotations, Py_XNewRef(list));
    return 0;
}

static PyGetSetDef tap_getset[] = {
    {"_annotations", (getter)tap_annotations, (setter)tap_set_annotations, "What the handler said.", NULL},
    {"receive", (getter)tap_receive, NULL, "The application's receive.", NULL},
    {"send", (getter)tap_send, NULL, "The application's send.", NULL},
    {NULL},
};

static PyTypeObject TapType; /* below */

static PyObject *active_add(Active *self, PyObject *tap)
{
    if (!PyObject_TypeCheck(tap, &TapType)) {
        PyErr_SetString(PyExc_TypeError, "only a tap is active");
        return NULL;
    }
    if (((Tap *)tap)->active != self) {
        leave((Tap *)tap);
        enter(self, (Tap *)tap);
    }
    Py_RETURN_NONE;
}

static PyObject *active_discard(Active *self, PyObject *tap)
{
    if (PyObject_TypeCheck(tap, &TapType) && ((Tap *)tap)->active == self)
        leave((Tap *)tap);
    Py_RETURN_NONE;
}

static Py_ssize_t active_length(Active *self)
{
    return self->count;
}

/* Over those that are in here now. Between the list and its items nothing else can run. */
static PyObject *active_iterator(Active *self)
{
    PyObject *found = PyList_New(self->count);
    while (found != NULL && PyList_GET_SIZE(found) != self->count) /* changed by a collection in the allocation */
        Py_SETREF(found, PyList_New(self->count));
    if (found == NULL)
        return NULL;
    Py_ssize_t at = 0;
    for (Tap *tap = self->first; tap != NULL; tap = tap->after)
        if (Py_REFCNT(tap) > 0) /* else it is about to go */
            PyList_SET_ITEM(found, at++, Py_NewRef(tap));
    Py_SET_SIZE(found, at);
    PyObject *iterator = PyObject_GetIter(found);
    Py_DECREF(found);
    return iterator;
}

static PyMethodDef active_methods[] = {
    {"add", (PyCFunction)active_add, METH_O, "A tap begins."},
    {"discard", (PyCFunction)active_discard, METH_O, "A tap ends. Without effect on one that is not in here."},
    {NULL},
};

static PySequenceMethods active_sequence = {.sq_length = (lenfunc)active_length};

static PyTypeObject ActiveType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "mlmon_sidecar.capture._tap.Active",
    .tp_basicsize = sizeof(Active),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "The taps whose application is called.",
    .tp_new = PyType_GenericNew,
    .tp_as_sequence = &active_sequence,
    .tp_iter = (getiterfunc)active_iterator,
    .tp_methods = active_methods,
};

static PyTypeObject TapType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "mlmon_sidecar.capture._tap.Tap",
    .tp_basicsize = sizeof(Tap),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_doc = "State and usual path of one exchange.",
    .tp_new = tap_new,
    .tp_init = (initproc)tap_init,
    .tp_dealloc = (destructor)tap_dealloc,
    .tp_traverse = (traverseproc)tap_traverse,
    .tp_clear = (inquiry)tap_clear,
    .tp_methods = tap_methods,
    .tp_members = tap_members,
    .tp_getset = tap_getset,
};

/* ---------------------------------------------------------------- which requests are watched */

/* The members of the served process that each request needs. */
typedef struct {
    PyObject_HEAD
    PyObject *pid, *web, *endpoints, *capture, *active;
    PyObject *planned; /* the capture that ``plan`` is of */
    Plan *plan;
    /* The request before this one, whose model was found by these: it depends on nothing else, and most are alike. */
    Plan *last_plan;
    PyObject *last_web, *last_endpoints, *last_method, *last_path, *last_model;
} Gate;

#define WATCHED(X) X(pid) X(web) X(endpoints) X(capture) X(active)
#define FOUND(X) X(planned) X(plan) X(last_plan) X(last_web) X(last_endpoints) X(last_method) X(last_path) X(last_model)

static int gate_traverse(Gate *self, visitproc visit, void *arg)
{
    WATCHED(VISIT)
    FOUND(VISIT)
    return 0;
}

static int gate_clear(Gate *self)
{
    WATCHED(CLEAR)
    FOUND(CLEAR)
    return 0;
}

static void gate_dealloc(Gate *self)
{
    PyObject_GC_UnTrack(self);
    gate_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

#define GATE_MEMBER(name) {#name, T_OBJECT_EX, offsetof(Gate, name), 0, NULL},
static PyMemberDef gate_members[] = {
    WATCHED(GATE_MEMBER)
    {NULL},
};

static PyTypeObject GateType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "mlmon_sidecar.capture._tap.Gate",
    .tp_basicsize = sizeof(Gate),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_doc = "The members of MonitoredProcess that each request needs.",
    .tp_new = PyType_GenericNew,
    .tp_dealloc = (destructor)gate_dealloc,
    .tp_traverse = (traverseproc)gate_traverse,
    .tp_clear = (inquiry)gate_clear,
    .tp_members = gate_members,
};

/* Whether a request's headers are of the usual kind and do not ask to be ignored: 1, 0. */
static int stays(PyObject *headers)
{
    if (headers == NULL || (!PyList_CheckExact(headers) && !PyTuple_CheckExact(headers)))
        return 0;
    Py_ssize_t length = PyBytes_GET_SIZE(IGNORE_HEADER);
    for (Py_ssize_t at = 0; at < PySequence_Fast_GET_SIZE(headers); at++) {
        PyObject *pair = PySequence_Fast_GET_ITEM(headers, at), *name;
        if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2 || !PyBytes_CheckExact(name = PyTuple_GET_ITEM(pair, 0))
            || (PyBytes_GET_SIZE(name) == length
                && memcmp(PyBytes_AS_STRING(name), PyBytes_AS_STRING(IGNORE_HEADER), (size_t)length) == 0))
            return 0;
    }
    return 1;
}

static int same_text(PyObject *text, PyObject *other)
{
    return text == other
        || (PyUnicode_IS_COMPACT_ASCII(text) && PyUnicode_IS_COMPACT_ASCII(other)
            && PyUnicode_GET_LENGTH(text) == PyUnicode_GET_LENGTH(other)
            && memcmp(PyUnicode_1BYTE_DATA(text), PyUnicode_1BYTE_DATA(other), (size_t)PyUnicode_GET_LENGTH(text)) == 0);
}

/* The model that a request is for. NULL: the methods there decide, or raised. */
static PyObject *model_of(Gate *gate, Plan *plan, Asked *asked)
{
    PyObject *method = asked->method, *path = asked->path, *root = asked->root_path, *known, *model;
    if (asked->type == NULL || !is_text(asked->type, s_http) || path == NULL || method == NULL
        || !PyUnicode_CheckExact(path) || !PyUnicode_CheckExact(method)
        || (root != NULL && (!PyUnicode_CheckExact(root) || PyUnicode_GET_LENGTH(root) != 0))
        || (!IS_NONE(plan->may_ignore) && !stays(asked->headers)))
        return NULL;
    if (gate->last_plan == plan && gate->last_web == gate->web && gate->last_endpoints == gate->endpoints
        && same_text(path, gate->last_path) && same_text(method, gate->last_method))
        return Py_NewRef(gate->last_model);
    if (!IS_NONE(gate->web) && (!PyUnicode_CheckExact(gate->endpoints) || PyUnicode_Contains(path, gate->endpoints) != 0))
        return NULL;
    if (!PyDict_CheckExact(plan->known)
        || (known = PyDict_GetItemWithError(plan->known, method)) == NULL || !PyDict_CheckExact(known)
        || (model = PyDict_GetItemWithError(known, path)) == NULL || !PyUnicode_CheckExact(model))
        return NULL;
    Py_INCREF(model);
    SET(gate->last_model, model);
    SET(gate->last_path, path);
    SET(gate->last_method, method);
    SET(gate->last_endpoints, gate->endpoints);
    SET(gate->last_web, gate->web);
    put_in((PyObject **)&gate->last_plan, Py_NewRef(plan));
    return model;
}

/* The plan of the process's capture as it is now, borrowed. NULL: there is none, or raised. */
static Plan *plan_of(Gate *gate)
{
    if (gate->planned != gate->capture || gate->plan == NULL) {
        PyObject *capture = Py_NewRef(gate->capture), *plan = POINT() ? NULL : PyObject_GetAttr(capture, s_plan);
        if (plan == NULL || !Py_IS_TYPE(plan, &PlanType) || !PyObject_TypeCheck(((Plan *)plan)->faults, &FuseType)) {
            Py_XDECREF(plan);
            Py_DECREF(capture);
            return NULL;
        }
        Py_CLEAR(gate->last_plan);
        put_in((PyObject **)&gate->plan, plan);
        put_in(&gate->planned, capture);
    }
    return gate->plan;
}

/* (tap, receive, send) of a request of ``model``, watched from here on. NULL: raised. */
static PyObject *open_tap(Gate *gate, Plan *plan, PyObject *model, const Asked *asked, PyObject *scope, PyObject *receive,
                          PyObject *send)
{
    PyObject *opened = NULL, *their_receive = NULL, *their_send = NULL;
    Tap *tap = POINT() ? NULL : (Tap *)tap_new(EXCHANGE_TAP, NULL, NULL);
    if (tap == NULL)
        return NULL;
    tap->plan = (Plan *)Py_NewRef(plan);
    SET(tap->_capture, gate->planned);
    SET(tap->_scope, scope);
    SET(tap->_send_raises, Py_False);
    SET(tap->model, model);
    tap->method = Py_NewRef(asked->method);
    tap->path = Py_NewRef(asked->path);
    enter((Active *)gate->active, tap);
    if (tap_began(tap, receive, send, 1, asked) >= 0 && (their_receive = tap_receive(tap, NULL)) != NULL
        && (their_send = tap_send(tap, NULL)) != NULL)
        opened = PyTuple_Pack(3, tap, their_receive, their_send);
    if (opened == NULL) { /* an interrupt, or no memory: as if it had not begun */
        Raised raised;
        keep(&raised);
        leave(tap);
        if (tap->token != NULL && PyContextVar_Reset(CURRENT, tap->token) < 0)
            PyErr_Clear();
        tap->_open = 0;
        restore(&raised);
    }
    Py_XDECREF(their_receive);
    Py_XDECREF(their_send);
    Py_DECREF(tap);
    return opened;
}

/* ``opened(process, scope, receive, send)``: the tap of a request that is watched from here on, and what its application
 * is called with; the process counts it as active. None: nothing was changed, and ``MonitorMiddleware`` decides. */
static PyObject *module_opened(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count == 4 && IS_NONE(args[0]))
        Py_RETURN_NONE;
    if (count != 4 || EXCHANGE_TAP == NULL || !PyObject_TypeCheck(args[0], &GateType)) {
        PyErr_SetString(PyExc_TypeError, "opened() takes the process, scope, receive and send");
        return NULL;
    }
    Gate *gate = (Gate *)args[0];
    PyObject *model = NULL, *scope = args[1], *opened = NULL;
    if (gate->pid == NULL || gate->web == NULL || gate->endpoints == NULL || gate->capture == NULL || gate->active == NULL
        || !Py_IS_TYPE(gate->active, &ActiveType) || !PyLong_CheckExact(gate->pid) || PyLong_AsLong(gate->pid) != own_pid) {
        PyErr_Clear(); /* no number of a process */
        Py_RETURN_NONE;
    }
    Asked asked;
    int usual = read_scope(scope, &asked);
    Plan *plan = usual > 0 ? (Plan *)Py_XNewRef(plan_of(gate)) : NULL;
    if (plan != NULL && !((Fuse *)plan->faults)->tripped && none_open() > 0
        && (model = model_of(gate, plan, &asked)) != NULL)
        opened = open_tap(gate, plan, model, &asked, scope, args[2], args[3]);
    forget(&asked);
    Py_XDECREF(model);
    Py_XDECREF(plan);
    if (opened != NULL || PyErr_Occurred())
        return opened;
    Py_RETURN_NONE;
}

/* ---------------------------------------------------------------- the module */

static PyObject *module_setup(PyObject *module, PyObject *args)
{
    PyObject *type, *stream, *current, *handoff, *queue, *no_span, *complete_end, *disconnect, *silent, *ignore, *events, *marker_name, *marker;
    if (!PyArg_ParseTuple(args, "O!O!OO!O!O!OOO!SO!UOnnnnnn", &PyType_Type, &type, &PyType_Type, &stream, &current, &PyType_Type, &handoff, &PyType_Type, &queue,
                          &PyTuple_Type, &no_span, &complete_end, &disconnect, &PyFrozenSet_Type, &silent, &ignore, &PyTuple_Type, &events,
                          &marker_name, &marker, &exchange_bytes, &header_bytes, &chunk_bytes, &timed_chunks, &max_chunks,
                          &bytes_a_chunk))
        return NULL;
    if (!PyType_IsSubtype((PyTypeObject *)type, &TapType) || !PyType_IsSubtype((PyTypeObject *)stream, &BodyType)
        || !PyType_IsSubtype((PyTypeObject *)handoff, &StoreType)) {
        PyErr_SetString(PyExc_TypeError, "setup() takes the types that are made of the ones here");
        return NULL;
    }
    if (QUEUE_APPEND == NULL && (QUEUE_APPEND = PyObject_GetAttrString(queue, "append")) == NULL)
        return NULL;
    SET(CURRENT, current);
    SET(HANDOFF, handoff);
    SET(NO_SPAN, no_span);
    SET(COMPLETE, complete_end);
    SET(DISCONNECT, disconnect);
    SET(SEND_IS_SILENT, silent);
    SET(IGNORE_HEADER, ignore);
    SET(EVENT_STREAMS, events);
    /* The result of a call is awaited: asgiref asks. */
    if (PyDict_SetItem(DoorType.tp_dict, marker_name, marker) < 0)
        return NULL;
    PyType_Modified(&DoorType);
    QUEUE = (PyTypeObject *)Py_NewRef(queue);
    EXCHANGE_TAP = (PyTypeObject *)Py_NewRef(type);
    STREAM_TAP = (PyTypeObject *)Py_NewRef(stream);
    Py_RETURN_NONE;
}

/* A function and not a method: the interpreter calls those of a type faster for its own objects, but not its heirs'. */
static PyObject *module_ended(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !Py_IS_TYPE(args[0], EXCHANGE_TAP)) {
        PyErr_SetString(PyExc_TypeError, "ended() takes a tap and an exception or None");
        return NULL;
    }
    return tap_end((Tap *)args[0], args[1]);
}

#ifdef MLMON_TAP_INJECT
static PyObject *module_inject(PyObject *module, PyObject *target)
{
    Py_ssize_t seen = points_seen;
    point_target = PyLong_AsSsize_t(target);
    if (point_target == -1 && PyErr_Occurred())
        return NULL;
    points_seen = 0;
    return PyLong_FromSsize_t(seen);
}
#endif

static PyMethodDef module_methods[] = {
    {"opened", (PyCFunction)(void (*)(void))module_opened, METH_FASTCALL, "(tap, receive, send) of a usual request, or None."},
    {"ended", (PyCFunction)(void (*)(void))module_ended, METH_FASTCALL, "ended(tap, error): the call is over, by it or None."},
    {"setup", module_setup, METH_VARARGS, "What exchange_tap.py defines and the usual path needs. Once."},
#ifdef MLMON_TAP_INJECT
    {"inject", module_inject, METH_O, "Fail at this point from now on (-1: at none); how many there were before."},
#endif
    {NULL},
};

#define INTERN(name) if ((s_##name = PyUnicode_InternFromString(#name)) == NULL) return -1;
static int module_exec(PyObject *module)
{
    static int loaded = 0;
    if (loaded) { /* types and names below are the process's: another interpreter takes the pure tap */
        PyErr_SetString(PyExc_ImportError, "the compiled tap serves one interpreter");
        return -1;
    }
    loaded = 1;
    NAMES(INTERN)
    if ((s_throw = PyUnicode_InternFromString("throw")) == NULL
        || (s_request = PyUnicode_InternFromString("http.request")) == NULL
        || (s_response_body = PyUnicode_InternFromString("http.response.body")) == NULL
        || (s_response_start = PyUnicode_InternFromString("http.response.start")) == NULL
        || (s_http = PyUnicode_InternFromString("http")) == NULL
        || (zero = PyLong_FromLong(0)) == NULL || (one = PyLong_FromLong(1)) == NULL
        || (empty_bytes = PyBytes_FromStringAndSize(NULL, 0)) == NULL || (empty_tuple = PyTuple_New(0)) == NULL
        || (empty_text = PyUnicode_FromString("")) == NULL)
        return -1;
    own_pid = (long)getpid();
    set_pairs();
    if (pthread_atfork(NULL, NULL, in_child) != 0) {
        PyErr_NoMemory();
        return -1;
    }
    PyTypeObject *types[] = {&ActiveType, &LaneType, &KeptType, &StoreType, &FuseType, &BodyType, &PlanType, &TapType, &GateType, &WaitType, &DoorType};
    for (size_t at = 0; at < sizeof types / sizeof *types; at++)
        if (PyModule_AddType(module, types[at]) < 0)
            return -1;
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_tap",
    .m_doc = "The usual path of an exchange, compiled.",
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__tap(void)
{
    return PyModuleDef_Init(&definition);
}
