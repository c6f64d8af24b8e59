/* The usual path of ``exchange_tap.py`` in C: one request and one answer, each in one piece, and plain chunks of a stream.
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

#define NAMES(X) X(type) X(body) X(more_body) X(status) X(headers) X(asgi) X(spec_version) X(method) X(path) X(now) \
    X(options) X(span_hook) X(faults) X(handoff) X(current) X(inside) X(count) X(put) X(append) X(send) X(receive) \
    X(close) X(max_bytes) X(max_body_bytes) X(headers_in_any_case) X(prediction_id_header) \
    X(_max_items) X(_drained_bytes) X(_all_lanes) X(_lanes) X(_queue) X(_begin) X(_received) X(_abandon) X(_end_with) \
    X(_wanted) X(_offer) X(_join_span) X(_send_watching) X(gi_code) X(co_flags)
#define DECLARE(name) static PyObject *s_##name;
NAMES(DECLARE)
static PyObject *s_throw, *s_request, *s_response_body, *s_response_start, *empty_bytes, *empty_tuple, *empty_text;

/* Given by exchange_tap.py. */
static PyObject *CURRENT, *HANDOFF, *NO_SPAN, *COMPLETE, *DISCONNECT, *SEND_IS_SILENT;
static Py_ssize_t exchange_bytes, header_bytes, chunk_bytes;

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

static unsigned char pool[256];
static size_t pool_left = 0;

static void in_child(void)
{
    pool_left = 0; /* a child must not draw what its parent draws too */
}

/* 48 bits of milliseconds, 12 of their fraction (section 6.2, method 3), 62 drawn. */
static PyObject *new_id(void)
{
    static const char digits[] = "0123456789abcdef";
    struct timespec now;
    unsigned char raw[16];
    if (POINT())
        return NULL;
    if (pool_left < 8) {
        if (getentropy(pool, sizeof pool) != 0)
            return PyErr_SetFromErrno(PyExc_OSError);
        pool_left = sizeof pool;
    }
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    unsigned long long ms = (unsigned long long)now.tv_sec * 1000 + (unsigned long long)now.tv_nsec / 1000000;
    unsigned fraction = (unsigned)((unsigned long long)(now.tv_nsec % 1000000) * 4096 / 1000000);
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
    Py_UCS1 *to = PyUnicode_1BYTE_DATA(text);
    for (int at = 0; at < 16; at++) {
        if (at == 4 || at == 6 || at == 8 || at == 10)
            *to++ = '-';
        *to++ = (Py_UCS1)digits[raw[at] >> 4];
        *to++ = (Py_UCS1)digits[raw[at] & 15];
    }
    return text;
}

/* ---------------------------------------------------------------- the hand-off's lane */

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

static int number_of(PyObject *owner, PyObject *name, long long *number)
{
    PyObject *value = PyObject_GetAttr(owner, name);
    if (value == NULL)
        return -1;
    *number = PyLong_AsLongLong(value);
    Py_DECREF(value);
    return *number == -1 && PyErr_Occurred() ? -1 : 0;
}

/* ``Handoff.put`` where there is room: 1 put, 0 for the method to decide, -1 raised; changed only by 1. */
static int put_where_room(PyObject *handoff, PyObject *exchange, long long size)
{
    int done = -1;
    long long drained, max_bytes, max_items;
    PyObject *lanes = NULL, *all = NULL, *queue = NULL, *entry = NULL, *ident = NULL, *boxed = NULL, *appended = NULL;
    if (POINT() || number_of(handoff, s__drained_bytes, &drained) < 0)
        return -1;
    if (number_of(handoff, s_max_bytes, &max_bytes) < 0 || number_of(handoff, s__max_items, &max_items) < 0)
        return -1;
    if (POINT() || (lanes = PyObject_GetAttr(handoff, s__lanes)) == NULL)
        goto end;
    if ((all = PyObject_GetAttr(handoff, s__all_lanes)) == NULL || (queue = PyObject_GetAttr(handoff, s__queue)) == NULL)
        goto end;
    if (POINT() || (ident = PyLong_FromUnsignedLong(PyThread_get_thread_ident())) == NULL)
        goto end;
    if (!PyDict_CheckExact(lanes) || !PyTuple_CheckExact(all)) {
        done = 0;
        goto end;
    }
    Lane *mine = (Lane *)PyDict_GetItemWithError(lanes, ident);
    if (mine == NULL || !Py_IS_TYPE(mine, &LaneType)) {
        done = PyErr_Occurred() ? -1 : 0;
        goto end;
    }
    Py_INCREF(mine);
    long long queued = size - drained;
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(all); at++) {
        if (!Py_IS_TYPE(PyTuple_GET_ITEM(all, at), &LaneType)) {
            done = 0;
            goto release;
        }
        queued += ((Lane *)PyTuple_GET_ITEM(all, at))->bytes_queued;
    }
    Py_ssize_t waiting = PyObject_Size(queue);
    if (waiting < 0)
        goto release;
    if (queued > max_bytes || waiting >= max_items) {
        done = 0;
        goto release;
    }
    if (POINT() || (boxed = PyLong_FromLongLong(size)) == NULL || (entry = PyTuple_Pack(2, exchange, boxed)) == NULL)
        goto release;
    mine->accepted++; /* before the append: a reader must never see more drained than accepted */
    appended = POINT() ? NULL : PyObject_CallMethodOneArg(queue, s_append, entry);
    if (appended == NULL) {
        mine->accepted--;
        goto release;
    }
    mine->bytes_queued += size;
    done = 1;
release:
    Py_DECREF(mine);
end:
    Py_XDECREF(appended);
    Py_XDECREF(entry);
    Py_XDECREF(boxed);
    Py_XDECREF(ident);
    Py_XDECREF(queue);
    Py_XDECREF(all);
    Py_XDECREF(lanes);
    return done;
}

/* ---------------------------------------------------------------- what ``BodyTap`` keeps */

typedef struct {
    PyObject_HEAD
    PyObject *chunks;
    Py_ssize_t room;
} Body;

static int body_traverse(Body *self, visitproc visit, void *arg)
{
    Py_VISIT(self->chunks);
    return 0;
}

static int body_clear(Body *self)
{
    Py_CLEAR(self->chunks);
    return 0;
}

static void body_dealloc(Body *self)
{
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->chunks);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMemberDef body_members[] = {
    {"chunks", T_OBJECT_EX, offsetof(Body, chunks), 0, NULL},
    {"room", T_PYSSIZET, offsetof(Body, room), 0, NULL},
    {NULL},
};

static PyTypeObject BodyType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "mlmon_sidecar.capture._tap.Body",
    .tp_basicsize = sizeof(Body),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_doc = "The members of BodyTap that each chunk of a stream needs.",
    .tp_new = PyType_GenericNew,
    .tp_dealloc = (destructor)body_dealloc,
    .tp_traverse = (traverseproc)body_traverse,
    .tp_clear = (inquiry)body_clear,
    .tp_members = body_members,
};

/* ---------------------------------------------------------------- the state of an exchange */

/* ``dict[key]`` as a new reference: a comparison of keys, or a collection in an allocation, may run anybody's code. */
static PyObject *item_of(PyObject *dict, PyObject *key)
{
    return Py_XNewRef(PyDict_GetItemWithError(dict, key));
}

#define STATE(X) X(_annotations) X(_capture) X(_first_byte_ns) X(_flowing) X(_receive) X(_request) X(_request_headers) \
    X(_request_tap) X(_response) X(_response_headers) X(_scope) X(_send) X(_span) X(_started_ns) X(_status) X(_stream) \
    X(model) X(prediction_id)
#define FIELD(name) PyObject *name;
typedef struct {
    PyObject_HEAD
    STATE(FIELD)
    Py_ssize_t _size;
    char _open, _disconnected, _send_raises;
} Tap;

#define MEMBER(name) {#name, T_OBJECT_EX, offsetof(Tap, name), 0, NULL},
static PyMemberDef tap_members[] = {
    STATE(MEMBER)
    {"_size", T_PYSSIZET, offsetof(Tap, _size), 0, NULL},
    {"_open", T_BOOL, offsetof(Tap, _open), 0, NULL},
    {"_disconnected", T_BOOL, offsetof(Tap, _disconnected), 0, NULL},
    {"_send_raises", T_BOOL, offsetof(Tap, _send_raises), 0, NULL},
    {NULL},
};

#define VISIT(name) Py_VISIT(self->name);
#define CLEAR(name) Py_CLEAR(self->name);
static int tap_traverse(Tap *self, visitproc visit, void *arg)
{
    STATE(VISIT)
    return 0;
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

/* None and not NULL: a finaliser among the garbage may still call what the application was given. */
#define LET_GO(name) SET(self->name, Py_None);
static int tap_clear(Tap *self)
{
    self->_open = 0;
    STATE(LET_GO)
    return 0;
}

static void tap_dealloc(Tap *self)
{
    PyObject_GC_UnTrack(self);
    STATE(CLEAR)
    Py_TYPE(self)->tp_free((PyObject *)self);
}

#define START_EMPTY(name) self->name = Py_NewRef(Py_None);
static PyObject *tap_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    Tap *self = (Tap *)type->tp_alloc(type, 0);
    if (self != NULL) {
        STATE(START_EMPTY)
    }
    return (PyObject *)self;
}

static int tap_init(Tap *self, PyObject *args, PyObject *keywords)
{
    PyObject *capture, *model, *scope;
    if (keywords != NULL && PyDict_GET_SIZE(keywords) != 0) {
        PyErr_SetString(PyExc_TypeError, "ExchangeTap takes positional arguments only");
        return -1;
    }
    if (!PyArg_UnpackTuple(args, "ExchangeTap", 3, 3, &capture, &model, &scope))
        return -1;
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

static PyObject *now(Tap *self)
{
    if (POINT())
        return NULL;
    PyObject *clock = PyObject_GetAttr(self->_capture, s_now);
    PyObject *reading = clock == NULL ? NULL : PyObject_CallNoArgs(clock);
    Py_XDECREF(clock);
    return reading;
}

static PyObject *option(Tap *self, PyObject *name)
{
    PyObject *options = POINT() ? NULL : PyObject_GetAttr(self->_capture, s_options);
    PyObject *value = options == NULL ? NULL : PyObject_GetAttr(options, name);
    Py_XDECREF(options);
    return value;
}

static int has_upper(PyObject *name)
{
    const char *at = PyBytes_AS_STRING(name), *end = at + PyBytes_GET_SIZE(name);
    for (; at < end; at++)
        if (*at >= 'A' && *at <= 'Z')
            return 1;
    return 0;
}

/* ``_wanted``: lists and tuples of pairs of bytes are looked through here, anything else there. New reference. */
static PyObject *wanted(Tap *self, PyObject *headers, PyObject *names)
{
    PyObject *kept[16], *result = NULL;
    Py_ssize_t found = 0, size = 0;
    if (POINT())
        return NULL;
    if (!(PyList_CheckExact(headers) || PyTuple_CheckExact(headers)) || !PyFrozenSet_CheckExact(names))
        goto leave;
    for (Py_ssize_t at = 0; at < PySequence_Fast_GET_SIZE(headers); at++) {
        PyObject *pair = PySequence_Fast_GET_ITEM(headers, at);
        if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2)
            goto leave;
        PyObject *name = PyTuple_GET_ITEM(pair, 0), *value = PyTuple_GET_ITEM(pair, 1);
        if (!PyBytes_CheckExact(name) || !PyBytes_CheckExact(value))
            goto leave;
        int is_in = PySet_Contains(names, name);
        if (is_in < 0)
            goto release;
        if (!is_in)
            continue;
        if (found == 16 || has_upper(name))
            goto leave;
        kept[found++] = Py_NewRef(pair); /* bytes are compared without any code of others: the list stays as it is */
        size += header_bytes + PyBytes_GET_SIZE(value);
    }
    if (POINT() || (result = PyTuple_New(found)) == NULL)
        goto release;
    while (found-- > 0)
        PyTuple_SET_ITEM(result, found, kept[found]);
    self->_size += size;
    return result;
release:
    while (found-- > 0)
        Py_DECREF(kept[found]);
    return NULL;
leave:
    while (found-- > 0)
        Py_DECREF(kept[found]);
    return PyObject_CallMethodObjArgs((PyObject *)self, s__wanted, headers, names, NULL);
}

/* The span that ``which`` of the hook names, NO_SPAN without one. A fault of it costs the span, not the exchange. */
static PyObject *span_of(Tap *self, PyObject *hook, PyObject *which)
{
    PyObject *span = POINT() ? NULL : PyObject_CallMethodNoArgs(hook, which);
    int said = span == NULL ? -1 : span == Py_None ? 0 : PyObject_IsTrue(span);
    if (said == 1)
        return span;
    Py_XDECREF(span);
    if (said < 0 && count(self, "span") < 0)
        return NULL;
    return Py_NewRef(NO_SPAN);
}

/* ``_begin`` for an ordinary scope that no outer tap watches. NULL: raised. */
static PyObject *begin(Tap *self, PyObject *receive, PyObject *send)
{
    PyObject *outer = NULL, *hook = NULL, *names = NULL, *headers, *value, *scope = self->_scope;
    if (POINT() || PyContextVar_Get(CURRENT, Py_None, &outer) < 0)
        return NULL;
    int usual = IS_NONE(outer) && PyDict_CheckExact(scope);
    Py_DECREF(outer);
    if (!usual)
        return PyObject_CallMethodObjArgs((PyObject *)self, s__begin, scope, receive, send, NULL);
    if ((value = now(self)) == NULL)
        return NULL;
    put_in(&self->_started_ns, value);
    if (POINT() || (value = PyLong_FromLong(0)) == NULL)
        return NULL;
    SET(self->_first_byte_ns, value);
    put_in(&self->_status, value);
    SET(self->_receive, receive);
    SET(self->_send, send);
    self->_disconnected = 0;
    self->_size = exchange_bytes;
    SET(self->_request, empty_bytes);
    SET(self->_response, empty_bytes);
    SET(self->_response_headers, empty_tuple);
    PyObject *asgi = PyDict_GetItemWithError(scope, s_asgi);
    if (asgi == NULL && PyErr_Occurred())
        return NULL;
    if (asgi == NULL)
        self->_send_raises = 0;
    else {
        if (!PyDict_CheckExact(asgi))
            return PyObject_CallMethodObjArgs((PyObject *)self, s__begin, scope, receive, send, NULL);
        PyObject *version = PyDict_GetItemWithError(asgi, s_spec_version);
        if (version == NULL && PyErr_Occurred())
            return NULL;
        Py_XINCREF(version);
        int silent = version == NULL ? 1 : PySet_Contains(SEND_IS_SILENT, version);
        Py_XDECREF(version);
        if (silent < 0)
            return NULL;
        self->_send_raises = !silent;
    }
    if (POINT() || (value = PyList_New(0)) == NULL)
        return NULL;
    put_in(&self->_annotations, value);
    headers = PyDict_GetItemWithError(scope, s_headers);
    if (headers == NULL && PyErr_Occurred())
        return NULL;
    headers = Py_NewRef(headers == NULL ? empty_tuple : headers);
    names = option(self, s_headers);
    value = names == NULL ? NULL : wanted(self, headers, names);
    Py_DECREF(headers);
    Py_XDECREF(names);
    if (value == NULL)
        return NULL;
    put_in(&self->_request_headers, value);
    if ((value = new_id()) == NULL)
        return NULL;
    put_in(&self->prediction_id, value);
    if (POINT() || (hook = PyObject_GetAttr(self->_capture, s_span_hook)) == NULL)
        return NULL;
    value = IS_NONE(hook) ? Py_NewRef(NO_SPAN) : span_of(self, hook, s_current);
    Py_DECREF(hook);
    if (value == NULL)
        return NULL;
    put_in(&self->_span, value);
    PyObject *token = POINT() ? NULL : PyContextVar_Set(CURRENT, (PyObject *)self);
    if (token != NULL)
        self->_open = 1;
    return token;
}

/* ---------------------------------------------------------------- what goes by */

/* A body of one piece into the tuple of an exchange. */
static int one_piece(Tap *self, PyObject *body, PyObject **chunks, PyObject **length)
{
    if (POINT())
        return -1;
    Py_INCREF(body);
    Py_ssize_t size = PyBytes_GET_SIZE(body);
    *length = PyLong_FromSsize_t(size);
    *chunks = size == 0 ? Py_NewRef(empty_tuple) : PyTuple_Pack(1, body);
    if (size != 0)
        self->_size += chunk_bytes + size;
    Py_DECREF(body);
    return *chunks == NULL || *length == NULL ? -1 : 0;
}

/* The flat tuple, in the order of ``Exchange``'s fields; its size has grown by the bodies and the path. */
static PyObject *flat(Tap *self, PyObject *now, PyObject *end)
{
    PyObject *path, *method = NULL, *exchange = NULL;
    PyObject *request = NULL, *request_bytes = NULL, *response = NULL, *response_bytes = NULL, *chunks = NULL;
    if ((path = item_of(self->_scope, s_path)) == NULL || (method = item_of(self->_scope, s_method)) == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetObject(PyExc_KeyError, path == NULL ? s_path : s_method);
        goto end;
    }
    Py_ssize_t length = PyObject_Length(path);
    if (POINT() || length < 0)
        goto end;
    if (one_piece(self, self->_request, &request, &request_bytes) < 0)
        goto end;
    if (one_piece(self, self->_response, &response, &response_bytes) < 0)
        goto end;
    if (POINT() || (chunks = PyLong_FromLong(response != empty_tuple)) == NULL)
        goto end;
    if (POINT() || (exchange = PyTuple_New(23)) == NULL) /* the last that may collect garbage, hence run other code */
        goto end;
    self->_size += length;
    PyObject *fields[] = {
        self->prediction_id, self->model, method, path, self->_started_ns, self->_first_byte_ns, now, self->_status, end,
        empty_text, self->_request_headers, request, request_bytes, self->_response_headers, response, response_bytes,
        PyTuple_GET_ITEM(self->_span, 1), PyTuple_GET_ITEM(self->_span, 2), PyTuple_GET_ITEM(self->_span, 3),
        empty_tuple, empty_tuple, chunks, empty_tuple,
    };
    _Static_assert(sizeof fields / sizeof *fields == 23, "the fields of Exchange");
    for (Py_ssize_t at = 0; at < 23; at++)
        PyTuple_SET_ITEM(exchange, at, Py_NewRef(fields[at]));
end:
    Py_XDECREF(path);
    Py_XDECREF(method);
    Py_XDECREF(request);
    Py_XDECREF(request_bytes);
    Py_XDECREF(response);
    Py_XDECREF(response_bytes);
    Py_XDECREF(chunks);
    return exchange;
}

static int hand_over(Tap *self, PyObject *exchange)
{
    PyObject *handoff = POINT() ? NULL : PyObject_GetAttr(self->_capture, s_handoff);
    if (handoff == NULL)
        return -1;
    int done = (PyObject *)Py_TYPE(handoff) == HANDOFF ? put_where_room(handoff, exchange, self->_size) : 0;
    if (done == 0) {
        PyObject *size = POINT() ? NULL : PyLong_FromSsize_t(self->_size);
        PyObject *put = size == NULL ? NULL : PyObject_CallMethodObjArgs(handoff, s_put, exchange, size, NULL);
        done = put == NULL ? -1 : 1;
        Py_XDECREF(size);
        Py_XDECREF(put);
    }
    Py_DECREF(handoff);
    return done < 0 ? -1 : 0;
}

/* ``_complete`` where nothing but single pieces was seen. 0, or -1 with what is no Exception. */
static int complete(Tap *self, PyObject *now)
{
    PyObject *end = self->_disconnected ? DISCONNECT : COMPLETE, *exchange;
    if (!PyDict_CheckExact(self->_scope) || !IS_NONE(self->_request_tap) || !PyTuple_CheckExact(self->_span)
        || PyTuple_GET_SIZE(self->_span) != 4 || !PyList_CheckExact(self->_annotations)
        || PyList_GET_SIZE(self->_annotations) != 0 || !PyBytes_CheckExact(self->_request)) {
        PyObject *offered = PyObject_CallMethodObjArgs((PyObject *)self, s__offer, now, end, empty_text, NULL);
        Py_XDECREF(offered);
        return offered == NULL ? -1 : 0;
    }
    self->_open = 0;
    exchange = flat(self, now, end);
    int done = exchange == NULL ? -1 : hand_over(self, exchange);
    Py_XDECREF(exchange);
    if (done < 0)
        return abandon(self, "handoff");
    SET(self->_request, empty_bytes);
    SET(self->_response, empty_bytes);
    SET(self->_span, NO_SPAN);
    return 0;
}

static int fits(Tap *self, PyObject *body)
{
    PyObject *cap = option(self, s_max_body_bytes);
    if (cap == NULL)
        return -1;
    long long most = PyLong_AsLongLong(cap);
    Py_DECREF(cap);
    if (most == -1 && PyErr_Occurred())
        return -1;
    return PyBytes_GET_SIZE(body) <= most;
}

/* A message that ``receive`` brought. 0, or -1 with what is no Exception. */
static int received(Tap *self, PyObject *message)
{
    if (PyDict_CheckExact(message)) {
        PyObject *kind = PyDict_GetItemWithError(message, s_type);
        if (kind != NULL && PyUnicode_CheckExact(kind) && PyUnicode_Compare(kind, s_request) == 0) {
            PyObject *body = PyDict_GetItemWithError(message, s_body);
            if (body == NULL && !PyErr_Occurred())
                return 0;
            if (body != NULL && PyBytes_CheckExact(body) && PyBytes_GET_SIZE(body) == 0)
                return 0;
            if (body != NULL && PyBytes_CheckExact(body) && IS_NONE(self->_request_tap)
                && self->_request == empty_bytes) {
                Py_INCREF(body);
                int kept = fits(self, body);
                if (kept == 1)
                    SET(self->_request, body);
                Py_DECREF(body);
                if (kept == 1)
                    return 0;
            }
        }
        if (PyErr_Occurred())
            return abandon(self, "receive");
    }
    PyObject *done = PyObject_CallMethodOneArg((PyObject *)self, s__received, message);
    if (done == NULL)
        return abandon(self, "receive");
    Py_DECREF(done);
    return 0;
}

/* Whether a message says that more of the body follows: 1, 0, or -1 raised. */
static int more_follows(PyObject *message)
{
    PyObject *more = item_of(message, s_more_body);
    if (more == NULL)
        return PyErr_Occurred() ? -1 : 0;
    int said = PyObject_IsTrue(more);
    Py_DECREF(more);
    return said;
}

/* The whole answer in one message: 1 seen, 0 for ``send`` there, -1 raised. */
static int answered(Tap *self, PyObject *message)
{
    PyObject *body = PyDict_GetItemWithError(message, s_body);
    if (POINT() || (body == NULL && PyErr_Occurred()))
        return -1;
    if (!IS_NONE(self->_stream) || (body != NULL && !PyBytes_CheckExact(body)))
        return 0;
    body = Py_NewRef(body == NULL ? empty_bytes : body);
    PyObject *reading = NULL;
    int more = more_follows(message), seen = more < 0 ? -1 : more ? 0 : fits(self, body);
    if (seen == 1) {
        if ((reading = now(self)) == NULL)
            seen = -1;
        else {
            SET(self->_first_byte_ns, reading);
            SET(self->_response, body);
            if (complete(self, reading) < 0)
                seen = -1;
        }
    }
    Py_XDECREF(reading);
    Py_DECREF(body);
    return seen;
}

/* The same answer start with our header behind, on a copy. New reference, or NULL: raised. */
static PyObject *with_id(Tap *self, PyObject *message, PyObject *headers, PyObject *name)
{
    PyObject *value = NULL, *pair = NULL, *longer = NULL, *copy = NULL;
    if (POINT() || (value = PyUnicode_AsASCIIString(self->prediction_id)) == NULL)
        goto end;
    if (POINT() || (pair = PyTuple_Pack(2, name, value)) == NULL)
        goto end;
    if (POINT() || (longer = PySequence_List(headers)) == NULL || PyList_Append(longer, pair) < 0)
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

/* An ordinary answer start, in ``*message`` then what is sent instead: 1 seen, 0 for ``send`` there, -1 raised. */
static int started(Tap *self, PyObject **message)
{
    PyObject *status = item_of(*message, s_status), *headers = NULL, *hook, *value, *name;
    int seen = -1, overflow = 0;
    if (POINT() || (status == NULL && PyErr_Occurred()))
        goto end;
    if ((headers = item_of(*message, s_headers)) == NULL && PyErr_Occurred())
        goto end;
    if (status == NULL || !PyLong_CheckExact(status) || PyLong_AsLongAndOverflow(status, &overflow) < 200 || overflow
        || headers == NULL || !(PyList_CheckExact(headers) || PyTuple_CheckExact(headers))) {
        seen = 0;
        goto end;
    }
    SET(self->_status, status);
    if (POINT() || (hook = PyObject_GetAttr(self->_capture, s_span_hook)) == NULL)
        goto end;
    if (!IS_NONE(hook)) {
        if (self->_span == NO_SPAN && (value = span_of(self, hook, s_inside)) != NULL)
            put_in(&self->_span, value);
        Py_DECREF(hook);
        if (PyErr_Occurred())
            goto end;
        if (self->_span != NO_SPAN) {
            value = PyObject_CallMethodNoArgs((PyObject *)self, s__join_span);
            Py_XDECREF(value);
            if (value == NULL)
                goto end;
        }
    }
    else
        Py_DECREF(hook);
    PyObject *names = option(self, s_headers_in_any_case);
    value = names == NULL ? NULL : wanted(self, headers, names);
    Py_XDECREF(names);
    if (value == NULL)
        goto end;
    put_in(&self->_response_headers, value);
    if ((name = option(self, s_prediction_id_header)) == NULL)
        goto end;
    seen = 1;
    if (!IS_NONE(name)) {
        value = with_id(self, *message, headers, name);
        if (value == NULL)
            seen = -1;
        else
            put_in(message, value);
    }
    Py_DECREF(name);
end:
    Py_XDECREF(status);
    Py_XDECREF(headers);
    return seen;
}

/* A chunk of a stream that there is room for: 1 seen, 0 for ``send`` there, -1 raised. */
static int flowed(Tap *self, PyObject *message)
{
    PyObject *body = item_of(message, s_body);
    int seen = 0;
    if (POINT() || (body == NULL && PyErr_Occurred())) {
        Py_XDECREF(body);
        return -1;
    }
    if (body != NULL && PyBytes_CheckExact(body) && PyBytes_GET_SIZE(body) != 0)
        seen = more_follows(message);
    if (seen == 1) {
        Body *stream = (Body *)self->_flowing; /* looked up last: nothing from here on runs other code */
        if (!PyObject_TypeCheck(stream, &BodyType) || stream->chunks == NULL || !PyList_CheckExact(stream->chunks)
            || stream->room < PyBytes_GET_SIZE(body))
            seen = 0;
        else if (POINT() || PyList_Append(stream->chunks, body) < 0)
            seen = -1;
        else
            stream->room -= PyBytes_GET_SIZE(body);
    }
    Py_XDECREF(body);
    return seen;
}

/* The application's ``send``: what the server's returns, untouched. */
static PyObject *tap_send(Tap *self, PyObject *message)
{
    PyObject *result, *send;
    int seen = 1;
    Py_INCREF(message);
    if (!IS_NONE(self->_flowing))
        seen = PyDict_CheckExact(message) ? flowed(self, message) : 0;
    else if (self->_open) {
        PyObject *kind = PyDict_CheckExact(message) ? PyDict_GetItemWithError(message, s_type) : NULL;
        if (kind == NULL || !PyUnicode_CheckExact(kind))
            seen = PyErr_Occurred() ? -1 : 0;
        else if (PyUnicode_Compare(kind, s_response_body) == 0)
            seen = answered(self, message);
        else if (PyUnicode_Compare(kind, s_response_start) == 0)
            seen = started(self, &message);
        else
            seen = 0;
    }
    if (seen == 0)
        result = PyObject_CallMethodOneArg((PyObject *)self, s_send, message);
    else if (seen < 0 && abandon(self, "send") < 0)
        result = NULL;
    else if (self->_send_raises && self->_open)
        result = PyObject_CallMethodOneArg((PyObject *)self, s__send_watching, message);
    else {
        send = Py_NewRef(self->_send);
        result = PyObject_CallOneArg(send, message);
        Py_DECREF(send);
    }
    Py_DECREF(message);
    return result;
}

/* ---------------------------------------------------------------- awaiting on behalf of the application */

/* One type for both: ``receive()`` (app is NULL) and ``run()``. ``inner`` is what is awaited, then its iterator. */
typedef struct {
    PyObject_HEAD
    Tap *tap;
    PyObject *inner, *app, *receive, *send, *token;
    char begun, done, running;
} Wait;

static int wait_traverse(Wait *self, visitproc visit, void *arg)
{
    Py_VISIT(self->tap);
    Py_VISIT(self->inner);
    Py_VISIT(self->app);
    Py_VISIT(self->receive);
    Py_VISIT(self->send);
    Py_VISIT(self->token);
    return 0;
}

static int wait_clear(Wait *self)
{
    self->done = 1; /* a finaliser among the garbage may still step it */
    Py_CLEAR(self->tap);
    Py_CLEAR(self->inner);
    Py_CLEAR(self->app);
    Py_CLEAR(self->receive);
    Py_CLEAR(self->send);
    Py_CLEAR(self->token);
    return 0;
}

static void wait_dealloc(Wait *self)
{
    PyObject_GC_UnTrack(self);
    wait_clear(self);
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

static PyObject *new_watched(PyTypeObject *type, Tap *tap);
static PyTypeObject ReceiveType, SendType;

/* The first step of ``run``: begin, and call the application. */
static int wait_begin(Wait *self)
{
    Tap *tap = self->tap;
    PyObject *scope = Py_NewRef(tap->_scope), *receive = NULL, *send = NULL;
    if (IS_NONE(scope)) {
        Py_DECREF(scope);
        PyErr_SetString(PyExc_AssertionError, "a tap serves one request");
        return -1;
    }
    PyObject *token = begin(tap, self->receive, self->send);
    if (token != NULL && !IS_NONE(token)) {
        receive = POINT() ? NULL : new_watched(&ReceiveType, tap);
        send = receive == NULL || POINT() ? NULL : new_watched(&SendType, tap);
        if (send == NULL) { /* as if it had not begun */
            Raised raised;
            keep(&raised);
            if (PyContextVar_Reset(CURRENT, token) < 0)
                PyErr_Clear();
            restore(&raised);
            Py_CLEAR(token);
        }
    }
    if (token == NULL && abandon(tap, "begin") < 0) {
        Py_XDECREF(receive);
        Py_DECREF(scope);
        return -1;
    }
    if (token == NULL || IS_NONE(token)) { /* only call on */
        Py_XDECREF(token);
        Py_XDECREF(receive);
        receive = Py_NewRef(self->receive);
        send = Py_NewRef(self->send);
    }
    else
        self->token = token;
    PyObject *called = PyObject_CallFunctionObjArgs(self->app, scope, receive, send, NULL);
    Py_DECREF(receive);
    Py_DECREF(send);
    Py_DECREF(scope);
    self->inner = called == NULL ? NULL : iterator_of(called);
    return self->inner == NULL ? -1 : 0;
}

/* ``run`` is over, with the exception that is set or without. What is set stays set. */
static void call_ended(Wait *self)
{
    Tap *tap = self->tap;
    if (self->token == NULL)
        return; /* it did not begin, or an outer tap watches */
    Raised raised;
    keep(&raised);
    PyObject *error = raised.type == NULL ? Py_None : error_of(&raised);
    int failed = (POINT() || PyContextVar_Reset(CURRENT, self->token) < 0) && count(tap, "context") < 0;
    if (tap->_open && !failed) {
        PyObject *ended = PyObject_CallMethodOneArg((PyObject *)tap, s__end_with, error);
        failed = ended == NULL && abandon(tap, "end") < 0;
        Py_XDECREF(ended);
    }
    SET(tap->_scope, Py_None);
    Py_CLEAR(self->token);
    if (failed) { /* what is no Exception, out of code of ours: an interrupt, as in Python */
        Py_XDECREF(raised.type);
        Py_XDECREF(raised.value);
        Py_XDECREF(raised.traceback);
    }
    else
        restore(&raised);
}

/* After a step of ``inner``: 0 when it yielded, else all is over. */
static PySendResult wait_stepped(Wait *self, PySendResult step, PyObject **result)
{
    self->running = 0;
    if (step == PYGEN_NEXT)
        return step;
    self->done = 1;
    if (self->app != NULL) {
        PyObject *value = step == PYGEN_RETURN ? *result : NULL;
        call_ended(self);
        if (value != NULL) { /* run() returns None */
            Py_DECREF(value);
            *result = PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
        }
        else
            *result = NULL;
    }
    else if (step == PYGEN_RETURN && self->tap->_open && received(self->tap, *result) < 0)
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

/* The first step of ``receive``. ``inner`` is taken out meanwhile: its last reference may go in there. */
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
        if (self->app != NULL ? wait_begin(self) < 0 : wait_iterate(self) < 0)
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
    .tp_doc = "Awaits the server's receive, or the application, for one exchange.",
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
    Wait *wait = PyObject_GC_New(Wait, &WaitType);
    if (wait == NULL)
        return NULL;
    wait->tap = (Tap *)Py_NewRef(tap);
    wait->inner = inner;
    wait->app = wait->receive = wait->send = wait->token = NULL;
    wait->begun = wait->done = wait->running = 0;
    PyObject_GC_Track(wait);
    return wait;
}

/* ---------------------------------------------------------------- ``receive`` and ``send`` as the application has them */

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    Tap *tap; /* no tp_clear: every cycle through here goes through the tap, which has one */
} Watched;

static int watched_traverse(Watched *self, visitproc visit, void *arg)
{
    Py_VISIT(self->tap);
    return 0;
}

static void watched_dealloc(Watched *self)
{
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->tap);
    PyObject_GC_Del(self);
}

static PyObject *call_receive(Watched *self, PyObject *const *args, size_t flags, PyObject *names)
{
    if (PyVectorcall_NARGS(flags) != 0 || (names != NULL && PyTuple_GET_SIZE(names) != 0)) {
        PyErr_SetString(PyExc_TypeError, "receive() takes no arguments");
        return NULL;
    }
    Tap *tap = (Tap *)Py_NewRef(self->tap);
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

static PyObject *call_send(Watched *self, PyObject *const *args, size_t flags, PyObject *names)
{
    Py_ssize_t count = PyVectorcall_NARGS(flags) + (names == NULL ? 0 : PyTuple_GET_SIZE(names));
    if (count != 1 || (names != NULL && PyTuple_GET_SIZE(names) == 1
                       && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "message") != 0)) {
        PyErr_SetString(PyExc_TypeError, "send() takes one argument, the message");
        return NULL;
    }
    Tap *tap = (Tap *)Py_NewRef(self->tap);
    PyObject *result = tap_send(tap, args[0]);
    Py_DECREF(tap);
    return result;
}

#define WATCHED_TYPE(title, text) { \
    PyVarObject_HEAD_INIT(NULL, 0) \
    .tp_name = "mlmon_sidecar.capture._tap." title, \
    .tp_basicsize = sizeof(Watched), \
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION, \
    .tp_doc = text, \
    .tp_dealloc = (destructor)watched_dealloc, \
    .tp_traverse = (traverseproc)watched_traverse, \
    .tp_vectorcall_offset = offsetof(Watched, call), \
    .tp_call = PyVectorcall_Call, \
}
static PyTypeObject ReceiveType = WATCHED_TYPE("Receive", "The application's receive, for one exchange.");
static PyTypeObject SendType = WATCHED_TYPE("Send", "The application's send, for one exchange.");

static PyObject *new_watched(PyTypeObject *type, Tap *tap)
{
    Watched *watched = PyObject_GC_New(Watched, type);
    if (watched == NULL)
        return NULL;
    watched->call = type == &ReceiveType ? (vectorcallfunc)call_receive : (vectorcallfunc)call_send;
    watched->tap = (Tap *)Py_NewRef(tap);
    PyObject_GC_Track(watched);
    return (PyObject *)watched;
}

/* ---------------------------------------------------------------- the type and the module */

static PyObject *tap_run(Tap *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "run() takes the application, receive and send");
        return NULL;
    }
    Wait *wait = new_wait(self, NULL);
    if (wait == NULL)
        return NULL;
    wait->app = Py_NewRef(args[0]);
    wait->receive = Py_NewRef(args[1]);
    wait->send = Py_NewRef(args[2]);
    return (PyObject *)wait;
}

static PyMethodDef tap_methods[] = {
    {"run", (PyCFunction)(void (*)(void))tap_run, METH_FASTCALL, "As ExchangeTap.run of exchange_tap.py."},
    {NULL},
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
};

static PyObject *module_setup(PyObject *module, PyObject *args)
{
    PyObject *current, *handoff, *no_span, *complete_end, *disconnect, *silent, *marker_name, *marker;
    if (!PyArg_ParseTuple(args, "OOO!OOO!UOnnn", &current, &handoff, &PyTuple_Type, &no_span, &complete_end, &disconnect,
                          &PyFrozenSet_Type, &silent, &marker_name, &marker, &exchange_bytes, &header_bytes, &chunk_bytes))
        return NULL;
    SET(CURRENT, current);
    SET(HANDOFF, handoff);
    SET(NO_SPAN, no_span);
    SET(COMPLETE, complete_end);
    SET(DISCONNECT, disconnect);
    SET(SEND_IS_SILENT, silent);
    PyTypeObject *marked[] = {&ReceiveType, &SendType};
    for (int at = 0; at < 2; at++) { /* the result of either is awaited: asgiref asks */
        if (PyDict_SetItem(marked[at]->tp_dict, marker_name, marker) < 0)
            return NULL;
        PyType_Modified(marked[at]);
    }
    Py_RETURN_NONE;
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
        || (empty_bytes = PyBytes_FromStringAndSize(NULL, 0)) == NULL || (empty_tuple = PyTuple_New(0)) == NULL
        || (empty_text = PyUnicode_FromString("")) == NULL)
        return -1;
    if (PyType_Ready(&LaneType) < 0 || PyType_Ready(&BodyType) < 0 || PyType_Ready(&TapType) < 0 || PyType_Ready(&WaitType) < 0
        || PyType_Ready(&ReceiveType) < 0 || PyType_Ready(&SendType) < 0)
        return -1;
    if (pthread_atfork(NULL, NULL, in_child) != 0) {
        PyErr_NoMemory();
        return -1;
    }
    if (PyModule_AddObjectRef(module, "Tap", (PyObject *)&TapType) < 0)
        return -1;
    if (PyModule_AddObjectRef(module, "Body", (PyObject *)&BodyType) < 0)
        return -1;
    return PyModule_AddObjectRef(module, "Lane", (PyObject *)&LaneType);
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
