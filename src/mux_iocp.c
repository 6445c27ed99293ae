/*
 * I/O completion ports. Sockets have calls of their own here (struct mux_calls): a try begins an
 * overlapped operation, and the try after its completion collects it.
 *
 *	accept    several AcceptEx at a time; the connections wait here until they are asked for
 *	connect   ConnectEx
 *	receive   WSARecv of no bytes, which ends when there are some, then a non-blocking recv: a
 *	          connection that waits owns no buffer
 *	send      WSASend, a piece at a time, so that progress shows
 *	recvfrom  WSARecvFrom into a buffer of the handle's, then non-blocking ones
 *	sendto    WSASendTo
 *
 * What the system writes to until a completion has come lives in struct overlapped_socket, which
 * has the completion key, and not in the mux_io and mux_op that asked: those may be called back,
 * closed and reused at once. It is freed when its socket is closed and its last completion taken.
 */
#include "mux_loop.h"

#include <errno.h>
#include <mswsock.h>
#include <stdlib.h>
#include <string.h>

enum {
	BATCH = 256,            /* completions taken at once */
	ACCEPTS = 16,           /* outstanding on a listener */
	BUCKETS = 1024,         /* of sockets by descriptor */
	SEND_PIECE = 32 * 1024, /* a slow peer is seen to move at least this often */
	DATAGRAM = 64 * 1024,
	DRAIN_WAIT = 1000 /* milliseconds for the completions of what was closed, at the end */
};

enum call_state { CALL_IDLE, CALL_UNDER_WAY, CALL_ENDED };

struct overlapped_socket;

/* One operation of the system's. */
struct call {
	OVERLAPPED overlapped;
	void (*ended)(struct overlapped_socket *socket, struct call *call);
	enum call_state state;
	ssize_t result; /* bytes, or a negative errno */
};

struct accept_call {
	struct call call;
	mux_fd accepted;
	char addresses[2 * (sizeof(struct sockaddr_storage) + 16)]; /* AcceptEx wants 16 more */
};

struct datagram_room {
	struct os_address from;
	char bytes[DATAGRAM];
};

struct overlapped_socket {
	struct iocp_state *iocp;
	struct mux_io *io; /* NULL: closed, or detached and not attached again */
	mux_fd fd;
	int family;
	bool stream;
	bool told_at_once; /* an immediate success brings no completion */
	bool closed;
	bool disowned;      /* the send's operation has been cancelled */
	unsigned under_way; /* calls whose completion has not been taken */
	int failure;        /* a receive's, 0 none */
	struct call receive;
	struct call send; /* or connect */
	struct mux_buf *sending;
	struct accept_call *accepts;     /* a listener's, [ACCEPTS] */
	struct datagram_room *datagrams; /* for WSARecvFrom */
	struct overlapped_socket *next_in_bucket;
};

struct iocp_state {
	HANDLE port;
	LPFN_ACCEPTEX accept;
	LPFN_CONNECTEX connect;
	size_t under_way;
	struct overlapped_socket *buckets[BUCKETS];
	OVERLAPPED_ENTRY entries[BATCH];
};

/* ---- sockets by descriptor: dialled and attached anew, one keeps its key ---- */

static struct overlapped_socket **find(struct iocp_state *iocp, mux_fd fd)
{
	struct overlapped_socket **link = &iocp->buckets[(size_t)fd / 4 % BUCKETS];

	while (*link && (*link)->fd != fd)
		link = &(*link)->next_in_bucket;
	return link;
}

static void free_if_over(struct overlapped_socket *socket)
{
	if (!socket->closed || socket->under_way)
		return;
	free(socket->accepts);
	free(socket->datagrams);
	free(socket);
}

static void forget(struct overlapped_socket *socket)
{
	struct overlapped_socket **link = find(socket->iocp, socket->fd);

	*link = socket->next_in_bucket;
	socket->closed = true;
}

/* ---- calls ---- */

enum begun { BEGUN_FAILED = -1, BEGUN, BEGUN_AND_ENDED };

/*
 * Account for a call that has just been made: `succeeded` as it returned. A failure is in
 * call->result; what has ended at once gets no completion.
 */
static enum begun account(struct overlapped_socket *socket, struct call *call, bool succeeded)
{
	if (!succeeded && WSAGetLastError() != WSA_IO_PENDING) {
		call->result = os_socket_error();
		return BEGUN_FAILED;
	}
	if (succeeded && socket->told_at_once)
		return BEGUN_AND_ENDED;
	call->state = CALL_UNDER_WAY;
	socket->under_way++;
	socket->iocp->under_way++;
	return BEGUN;
}

static void prepare(
	struct call *call, void (*ended)(struct overlapped_socket *socket, struct call *call))
{
	memset(&call->overlapped, 0, sizeof(call->overlapped));
	call->ended = ended;
}

/* The result of a call whose completion has come; its socket is open. */
static void take_result(struct overlapped_socket *socket, struct call *call)
{
	DWORD bytes;
	DWORD flags;

	if (WSAGetOverlappedResult(socket->fd, &call->overlapped, &bytes, FALSE, &flags))
		call->result = (ssize_t)bytes;
	else
		call->result = os_socket_error();
}

static void completed(struct overlapped_socket *socket, struct call *call)
{
	socket->under_way--;
	socket->iocp->under_way--;
	if (!socket->closed)
		take_result(socket, call);
	call->state = CALL_ENDED;
	call->ended(socket, call);
	free_if_over(socket);
}

static void tell(struct overlapped_socket *socket, unsigned event)
{
	if (socket->io)
		mux_io_ready(socket->io, event);
}

/* ---- receiving ---- */

static void readable(struct overlapped_socket *socket, struct call *call)
{
	call->state = CALL_IDLE; /* the receive that follows tells what there is */
	if (call->result < 0)
		socket->failure = (int)call->result;
	tell(socket, MUX_READ);
}

static int want_bytes(struct overlapped_socket *socket)
{
	struct call *call = &socket->receive;
	WSABUF nothing = { 0, NULL };
	DWORD flags = 0;
	DWORD n;

	if (call->state == CALL_UNDER_WAY)
		return 0; /* of a receive that was cancelled: it has lost nothing */
	prepare(call, readable);
	switch (account(socket, call,
		WSARecv(socket->fd, &nothing, 1, &n, &flags, &call->overlapped, NULL) == 0)) {
	case BEGUN_FAILED:
		socket->failure = (int)call->result;
		/* fall through */
	case BEGUN_AND_ENDED:
		mux_io_ready_at_once(socket->io);
		return 0;
	default:
		return 0;
	}
}

static void datagram_arrived(struct overlapped_socket *socket, struct call *call)
{
	(void)call; /* collected by iocp_recvfrom */
	tell(socket, MUX_READ);
}

static int want_datagram(struct overlapped_socket *socket)
{
	struct call *call = &socket->receive;
	WSABUF room = { DATAGRAM, NULL };
	DWORD flags = 0;
	DWORD n;

	if (call->state == CALL_UNDER_WAY)
		return 0;
	if (call->state == CALL_IDLE) {
		if (!socket->datagrams)
			socket->datagrams = malloc(sizeof(*socket->datagrams));
		if (!socket->datagrams)
			return -ENOMEM;
		room.buf = socket->datagrams->bytes;
		socket->datagrams->from.length = sizeof(socket->datagrams->from.u);
		prepare(call, datagram_arrived);
		if (account(socket, call,
			    WSARecvFrom(socket->fd, &room, 1, &n, &flags,
				    &socket->datagrams->from.u.any, &socket->datagrams->from.length,
				    &call->overlapped, NULL) == 0) == BEGUN)
			return 0;
		call->state = CALL_ENDED; /* with an error, since it is not told at once */
	}
	mux_io_ready_at_once(socket->io);
	return 0;
}

static ssize_t iocp_read(struct mux_io *io, void *into, size_t size)
{
	struct overlapped_socket *socket = io->under;
	ssize_t n = os_read(io->fd, io->kind, into, size);

	/* what came before the failure comes first; it is told by the wait alone */
	return n <= 0 && socket->failure ? socket->failure : n;
}

static ssize_t iocp_recvfrom(struct mux_io *io, void *into, size_t size, struct os_address *from)
{
	struct overlapped_socket *socket = io->under;
	struct call *call = &socket->receive;

	switch (call->state) {
	case CALL_IDLE:
		return os_recvfrom(io->fd, into, size, from);
	case CALL_UNDER_WAY:
		return -EAGAIN;
	default:
		break;
	}
	call->state = CALL_IDLE;
	if (from)
		*from = socket->datagrams->from;
	if (call->result < 0)
		return call->result;
	if ((size_t)call->result > size)
		return -EMSGSIZE;
	memcpy(into, socket->datagrams->bytes, (size_t)call->result);
	return call->result;
}

/* ---- accepting ---- */

/* Whoever has come and is not served shall not take it for an end. */
static void refuse(struct accept_call *accept)
{
	os_reset_on_close(accept->accepted, true);
	os_close(accept->accepted, OS_SOCKET);
}

static void accept_ended(struct overlapped_socket *socket, struct call *call)
{
	struct accept_call *accept = container_of(call, struct accept_call, call);

	if (socket->closed)
		refuse(accept);
	else
		tell(socket, MUX_READ);
}

static int begin_accept(struct overlapped_socket *socket, struct accept_call *accept)
{
	DWORD half = sizeof(accept->addresses) / 2;
	DWORD n;

	accept->accepted = os_socket(socket->family, SOCK_STREAM);
	if (accept->accepted < 0)
		return (int)accept->accepted;
	prepare(&accept->call, accept_ended);
	switch (account(socket, &accept->call,
		socket->iocp->accept(socket->fd, accept->accepted, accept->addresses, 0, half, half,
			&n, &accept->call.overlapped))) {
	case BEGUN_FAILED:
		os_close(accept->accepted, OS_SOCKET);
		return (int)accept->call.result;
	case BEGUN_AND_ENDED:
		accept->call.result = 0;
		accept->call.state = CALL_ENDED;
		return 0;
	default:
		return 0;
	}
}

static int want_connections(struct overlapped_socket *socket)
{
	int error = 0;
	bool some = false;
	bool ended = false;

	if (!socket->accepts)
		socket->accepts = calloc(ACCEPTS, sizeof(*socket->accepts));
	if (!socket->accepts)
		return -ENOMEM;
	for (size_t i = 0; i < ACCEPTS; i++) {
		struct accept_call *accept = &socket->accepts[i];

		if (accept->call.state == CALL_IDLE && !error)
			error = begin_accept(socket, accept);
		some = some || accept->call.state != CALL_IDLE;
		ended = ended || accept->call.state == CALL_ENDED;
	}
	if (ended)
		mux_io_ready_at_once(socket->io);
	return some ? 0 : error; /* one is enough to go on with */
}

/* Has the one who came failed, rather than the listener? */
static bool is_of_connection(int error)
{
	return error == -ECONNRESET || error == -ECONNABORTED || error == -ENOTCONN ||
	       error == -ETIMEDOUT;
}

/* The new socket takes on what its listener has (AcceptEx, "Remarks"). */
static mux_fd finish_accept(
	struct overlapped_socket *socket, struct accept_call *accept, struct os_address *peer)
{
	mux_fd fd = accept->accepted;
	SOCKET listener = (SOCKET)socket->fd;
	BOOL no_delay = FALSE;
	int length = sizeof(no_delay);

	accept->call.state = CALL_IDLE;
	if (accept->call.result < 0) {
		os_close(fd, OS_SOCKET);
		return is_of_connection((int)accept->call.result) ? -ECONNABORTED
								  : accept->call.result;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, (void *)&listener,
		    sizeof(listener)) < 0) {
		os_close(fd, OS_SOCKET);
		return -ECONNABORTED;
	}
	if (getsockopt(listener, IPPROTO_TCP, TCP_NODELAY, (void *)&no_delay, &length) == 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, (void *)&no_delay, sizeof(no_delay));
	if (peer) {
		peer->length = sizeof(peer->u);
		if (getpeername(fd, &peer->u.any, &peer->length) < 0)
			peer->length = 0;
	}
	return fd;
}

static mux_fd iocp_accept(struct mux_io *io, struct os_address *peer)
{
	struct overlapped_socket *socket = io->under;

	for (size_t i = 0; i < ACCEPTS; i++)
		if (socket->accepts[i].call.state == CALL_ENDED)
			return finish_accept(socket, &socket->accepts[i], peer);
	return -EAGAIN;
}

/* ---- sending and connecting ---- */

static void release_sending(struct overlapped_socket *socket)
{
	mux_buf_unref(socket->sending);
	socket->sending = NULL;
}

static void send_ended(struct overlapped_socket *socket, struct call *call)
{
	release_sending(socket);
	if (socket->disowned) {
		socket->disowned = false;
		call->state = CALL_IDLE;
	}
	tell(socket, MUX_WRITE);
}

/* What the last call brought, if it has ended; else whether there is one. */
static bool collect(struct call *call, ssize_t *result)
{
	if (call->state == CALL_IDLE)
		return false;
	*result = call->state == CALL_ENDED ? call->result : -EAGAIN;
	if (call->state == CALL_ENDED)
		call->state = CALL_IDLE;
	return true;
}

/* A WSASend or WSASendTo of `length` bytes has been made. */
static ssize_t begun_send(
	struct overlapped_socket *socket, const struct mux_op *op, bool succeeded, size_t length)
{
	switch (account(socket, &socket->send, succeeded)) {
	case BEGUN_FAILED:
		return socket->send.result;
	case BEGUN_AND_ENDED:
		return (ssize_t)length;
	default:
		socket->sending = mux_buf_ref(op->buf);
		return -EAGAIN;
	}
}

static ssize_t iocp_write(struct mux_io *io, const struct mux_op *op)
{
	struct overlapped_socket *socket = io->under;
	struct call *call = &socket->send;
	size_t rest = op->length - op->moved;
	WSABUF piece = { (ULONG)(rest < SEND_PIECE ? rest : SEND_PIECE),
		(char *)op->data + op->moved };
	DWORD n;
	ssize_t result;

	if (collect(call, &result))
		return result;
	prepare(call, send_ended);
	return begun_send(socket, op,
		WSASend(socket->fd, &piece, 1, &n, 0, &call->overlapped, NULL) == 0, piece.len);
}

static ssize_t iocp_sendto(struct mux_io *io, const struct mux_op *op)
{
	struct overlapped_socket *socket = io->under;
	struct call *call = &socket->send;
	WSABUF datagram = { (ULONG)op->length, (char *)op->data };
	const struct os_address *to = op->address;
	DWORD n;
	ssize_t result;

	if (collect(call, &result))
		return result;
	prepare(call, send_ended);
	return begun_send(socket, op,
		WSASendTo(socket->fd, &datagram, 1, &n, 0, to ? &to->u.any : NULL,
			to ? to->length : 0, &call->overlapped, NULL) == 0,
		op->length);
}

/* ConnectEx wants a bound socket; one that has been bound to a source stays so. */
static int bind_anywhere(struct overlapped_socket *socket)
{
	struct os_address any = { .u.any.sa_family = (ADDRESS_FAMILY)socket->family };
	int length = socket->family == AF_INET6 ? sizeof(any.u.v6) : sizeof(any.u.v4);

	if (bind(socket->fd, &any.u.any, length) < 0 && WSAGetLastError() != WSAEINVAL)
		return os_socket_error();
	return 0;
}

static int connected(struct overlapped_socket *socket)
{
	if (setsockopt(socket->fd, SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, NULL, 0) < 0)
		return os_socket_error();
	return 0;
}

/* A Unix socket's connect, which ConnectEx does not know, waits for nobody far away. */
static int connect_at_once(mux_fd fd, const struct os_address *to)
{
	u_long blocking = 0;
	u_long nonblocking = 1;
	int error;

	ioctlsocket(fd, FIONBIO, &blocking);
	error = os_connect(fd, to);
	ioctlsocket(fd, FIONBIO, &nonblocking);
	return error;
}

static int iocp_connect(struct mux_io *io, const struct os_address *to)
{
	struct overlapped_socket *socket = io->under;
	struct call *call = &socket->send;
	int error;

	if (!socket->stream || socket->family == AF_UNIX)
		return connect_at_once(io->fd, to);
	error = bind_anywhere(socket);
	if (error)
		return error;
	prepare(call, send_ended);
	switch (account(socket, call,
		socket->iocp->connect(
			socket->fd, &to->u.any, to->length, NULL, 0, NULL, &call->overlapped))) {
	case BEGUN_FAILED:
		return (int)call->result;
	case BEGUN_AND_ENDED:
		return connected(socket);
	default:
		return -EINPROGRESS;
	}
}

static int iocp_connect_result(struct mux_io *io)
{
	struct overlapped_socket *socket = io->under;
	ssize_t result = 0;

	collect(&socket->send, &result);
	return result < 0 ? (int)result : connected(socket);
}

/* Only a send is stopped: a receive has lost nothing and serves the next that asks. */
static void iocp_cancelled(struct mux_io *io, const struct mux_op *op)
{
	struct overlapped_socket *socket = io->under;

	if (op != io->writing || socket->send.state == CALL_IDLE)
		return;
	if (socket->send.state == CALL_ENDED) {
		socket->send.state = CALL_IDLE;
		return;
	}
	socket->disowned = true;
	CancelIoEx((HANDLE)socket->fd, &socket->send.overlapped);
}

/* ---- handles ---- */

static int iocp_want(struct mux_io *io, unsigned interest)
{
	if (!(interest & ~io->wanted & MUX_READ))
		return 0; /* a write was begun by its try */
	switch (io->reading->kind) {
	case MUX_ACCEPT:
		return want_connections(io->under);
	case MUX_RECV:
		return want_bytes(io->under);
	default:
		return want_datagram(io->under);
	}
}

/*
 * May an immediate success do without a completion? Only where nothing stands between the socket
 * and the system (XP1_IFS_HANDLES; "SetFileCompletionNotificationModes", Win32), and not for
 * datagrams, of which a truncated one would be told twice.
 */
static void inspect(struct overlapped_socket *socket)
{
	WSAPROTOCOL_INFOW protocol;
	int length = sizeof(protocol);

	if (getsockopt(socket->fd, SOL_SOCKET, SO_PROTOCOL_INFOW, (void *)&protocol, &length) < 0)
		return;
	socket->family = protocol.iAddressFamily;
	socket->stream = protocol.iSocketType == SOCK_STREAM;
	socket->told_at_once =
		socket->stream && (protocol.dwServiceFlags1 & XP1_IFS_HANDLES) &&
		SetFileCompletionNotificationModes((HANDLE)socket->fd,
			FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE);
}

static int attach_new(struct iocp_state *iocp, struct overlapped_socket *socket)
{
	struct overlapped_socket **link;

	if (!CreateIoCompletionPort((HANDLE)socket->fd, iocp->port, (ULONG_PTR)socket, 0))
		return os_windows_error(GetLastError());
	link = find(iocp, socket->fd);
	if (*link) { /* closed while it was detached, and its number is used again */
		struct overlapped_socket *stale = *link;

		*link = stale->next_in_bucket;
		stale->closed = true;
		free_if_over(stale);
		link = find(iocp, socket->fd);
	}
	*link = socket;
	inspect(socket);
	return 0;
}

static int iocp_attach(struct mux_io *io)
{
	struct iocp_state *iocp = io->mux->state;
	struct overlapped_socket *socket = calloc(1, sizeof(*socket));
	int error;

	if (!socket)
		return -ENOMEM;
	socket->iocp = iocp;
	socket->fd = io->fd;
	error = attach_new(iocp, socket);
	if (error) {
		/* a port takes a socket once, for good: this may be one that was detached */
		free(socket);
		socket = error == -EINVAL ? *find(iocp, io->fd) : NULL;
		if (!socket || socket->io)
			return error;
	}
	socket->io = io;
	io->under = socket;
	return 0;
}

static void iocp_detach(struct mux_io *io)
{
	struct overlapped_socket *socket = io->under;

	socket->io = NULL;
}

static void iocp_close_socket(struct mux_io *io)
{
	struct overlapped_socket *socket = io->under;

	forget(socket);
	socket->io = NULL;
	for (size_t i = 0; socket->accepts && i < ACCEPTS; i++)
		if (socket->accepts[i].call.state == CALL_ENDED)
			refuse(&socket->accepts[i]);
	if (socket->under_way)
		CancelIoEx((HANDLE)socket->fd, NULL);
	os_close(socket->fd, OS_SOCKET);
	free_if_over(socket);
}

static const struct mux_calls iocp_calls = {
	.one_shot = true,
	.attach = iocp_attach,
	.detach = iocp_detach,
	.want = iocp_want,
	.close = iocp_close_socket,
	.accept = iocp_accept,
	.connect = iocp_connect,
	.connect_result = iocp_connect_result,
	.read = iocp_read,
	.recvfrom = iocp_recvfrom,
	.write = iocp_write,
	.sendto = iocp_sendto,
	.cancelled = iocp_cancelled,
};

/* ---- the port ---- */

static bool find_function(mux_fd fd, GUID id, void *function, size_t size)
{
	DWORD n;

	return WSAIoctl(fd, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof(id), function,
		       (DWORD)size, &n, NULL, NULL) == 0;
}

static int find_functions(struct iocp_state *iocp)
{
	mux_fd fd = os_socket(AF_INET, SOCK_STREAM);
	int error = 0;

	if (fd < 0)
		return (int)fd;
	if (!find_function(fd, (GUID)WSAID_ACCEPTEX, &iocp->accept, sizeof(iocp->accept)) ||
		!find_function(fd, (GUID)WSAID_CONNECTEX, &iocp->connect, sizeof(iocp->connect)))
		error = os_socket_error();
	os_close(fd, OS_SOCKET);
	return error;
}

static int iocp_open(void **state)
{
	struct iocp_state *iocp = calloc(1, sizeof(*iocp));
	int error;

	if (!iocp)
		return -ENOMEM;
	iocp->port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
	error = iocp->port ? find_functions(iocp) : os_windows_error(GetLastError());
	if (error) {
		if (iocp->port)
			CloseHandle(iocp->port);
		free(iocp);
		return error;
	}
	*state = iocp;
	return 0;
}

static int iocp_wait(void *state, int timeout)
{
	struct iocp_state *iocp = state;
	ULONG count;

	if (!GetQueuedCompletionStatusEx(iocp->port, iocp->entries, BATCH, &count,
		    timeout < 0 ? INFINITE : (DWORD)timeout, FALSE))
		return GetLastError() == WAIT_TIMEOUT ? 0 : os_windows_error(GetLastError());
	for (ULONG i = 0; i < count; i++) {
		const OVERLAPPED_ENTRY *entry = &iocp->entries[i];

		if (entry->lpOverlapped) /* else it is only to wake up */
			completed((struct overlapped_socket *)entry->lpCompletionKey,
				container_of(entry->lpOverlapped, struct call, overlapped));
	}
	return 0;
}

static void iocp_wake(void *state)
{
	struct iocp_state *iocp = state;

	PostQueuedCompletionStatus(iocp->port, 0, 0, NULL);
}

/* Everything is closed; what was cut short by that is still to be taken. */
static void iocp_close(void *state)
{
	struct iocp_state *iocp = state;

	while (iocp->under_way) {
		size_t before = iocp->under_way;

		if (iocp_wait(iocp, DRAIN_WAIT) < 0 || iocp->under_way == before)
			break;
	}
	CloseHandle(iocp->port);
	free(iocp);
}

const struct mux_backend mux_iocp = {
	.name = "iocp",
	.has_edge = false,
	.descriptor_limit = 0,
	.open = iocp_open,
	.close = iocp_close,
	.calls = &iocp_calls,
	.wait = iocp_wait,
	.wake = iocp_wake,
};
