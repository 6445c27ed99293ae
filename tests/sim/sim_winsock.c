/*
 * Completions, for src/windows/mux_iocp*.c: what is begun goes on by itself, reads its buffer until it has
 * ended, and ends at any time and in any order; also what was cancelled and what was closed.
 */
#include "sim.h"

#include <errno.h>
#include <mswsock.h>
#include <string.h>

enum { CALLS = 256 };
enum call_kind { CALL_NONE, CALL_RECEIVE, CALL_RECVFROM, CALL_SEND, CALL_SENDTO, CALL_ACCEPT };

struct call {
	enum call_kind kind;
	OVERLAPPED *overlapped;
	mux_fd fd;
	ULONG_PTR key;
	mux_fd accepted;
	char *data; /* that is sent, or received */
	size_t length;
	struct os_address address; /* of sendto */
	struct sockaddr *from;     /* of recvfrom */
	socklen_t *from_length;
	size_t moved;
	bool cancelled;
	bool ended; /* its completion is at the port */
};

static struct call calls[CALLS];
static struct port_entry {
	ULONG_PTR key;
	bool skips; /* no completion of what succeeds at once */
} sockets[SIM_SOCKETS];
static unsigned woken;
static int last_error;

void sim_winsock_clear(void)
{
	memset(calls, 0, sizeof(calls));
	memset(sockets, 0, sizeof(sockets));
	woken = 0;
}

static bool fail(int error)
{
	last_error = error;
	return false;
}

/* ---- what goes on ---- */

static bool is_closed(const struct call *call)
{
	return !sim_is_open(call->fd);
}

static unsigned event_of(const struct call *call)
{
	return call->kind == CALL_SEND || call->kind == CALL_SENDTO ? MUX_WRITE : MUX_READ;
}

static bool can_go_on(const struct call *call)
{
	if (call->kind == CALL_NONE || call->ended)
		return false;
	if (is_closed(call) || call->cancelled)
		return true;

	const struct sim_socket *socket = sim_socket(call->fd);
	unsigned ready = sim_readiness(socket);

	return (ready & event_of(call)) || socket->reset;
}

static void end(struct call *call, int error, size_t bytes)
{
	call->overlapped->error = error;
	call->overlapped->bytes = bytes;
	call->ended = true;
}

static void go_on_sending(struct call *call)
{
	ssize_t n =
		os_write(call->fd, OS_SOCKET, call->data + call->moved, call->length - call->moved);

	if (n == -EAGAIN)
		return;
	if (n < 0) {
		end(call, (int)-n, 0);
		return;
	}
	call->moved += (size_t)n;
	if (call->moved == call->length)
		end(call, 0, call->length);
}

/* What came before a failure can still be read when that is told. */
static void go_on_receiving(struct call *call)
{
	struct sim_socket *socket = sim_socket(call->fd);

	if (socket->error && (socket->arrived == socket->received || sim_one_in(2)))
		end(call, -sim_tell(socket, socket->error), 0);
	else
		end(call, 0, 0);
}

static void receive_datagram(struct call *call)
{
	struct os_address from;
	ssize_t n = os_recvfrom(call->fd, call->data, call->length, &from);

	memcpy(call->from, &from.u, from.length);
	*call->from_length = from.length;
	end(call, n < 0 ? (int)-n : 0, n < 0 ? 0 : (size_t)n);
}

static void send_datagram(struct call *call)
{
	ssize_t n = os_sendto(call->fd, call->data, call->length, &call->address);

	end(call, n < 0 ? (int)-n : 0, n < 0 ? 0 : (size_t)n);
}

static void go_on_accepting(struct call *call)
{
	struct sim_socket *listener = sim_socket(call->fd);

	listener->waiting--;
	if (sim_faults.transfer && sim_one_in(8)) {
		end(call, ECONNRESET, 0);
		return;
	}
	end(call, 0, 0);
	sim_connected(sim_socket(call->accepted), listener);
}

static void go_on(struct call *call)
{
	if (is_closed(call) || (call->cancelled && sim_one_in(2)))
		end(call, ECANCELED, 0);
	else if (!(sim_readiness(sim_socket(call->fd)) & event_of(call)))
		return; /* cancelled, and not yet told */
	else if (call->kind == CALL_SEND)
		go_on_sending(call);
	else if (call->kind == CALL_RECEIVE)
		go_on_receiving(call);
	else if (call->kind == CALL_RECVFROM)
		receive_datagram(call);
	else if (call->kind == CALL_SENDTO)
		send_datagram(call);
	else
		go_on_accepting(call);
}

/* Begins a call, which may end at once. As Winsock returns: true, it has; or false. */
static bool begin(struct call call)
{
	struct call *at = calls;

	while (at->kind != CALL_NONE)
		if (++at == calls + CALLS)
			sim_fail("too many calls");
	call.key = sockets[call.fd].key;
	*at = call;
	if (!sim_one_in(2) || !can_go_on(at))
		return fail(WSA_IO_PENDING);
	go_on(at);
	if (!at->ended || (!at->overlapped->error && !sockets[call.fd].skips && sim_one_in(2)))
		return fail(WSA_IO_PENDING);
	if (at->overlapped->error) { /* no completion comes of a call that has failed at once */
		at->kind = CALL_NONE;
		return fail(at->overlapped->error);
	}
	if (sockets[call.fd].skips)
		at->kind = CALL_NONE;
	return true;
}

/* ---- the port ---- */

/* Every call that can may go on. True: some could, and have yet to. */
static bool go_on_some(void)
{
	bool later = false;

	for (size_t i = 0; i < CALLS; i++) {
		if (!can_go_on(&calls[i]))
			continue;
		if (sim_one_in(4)) {
			later = true;
			continue;
		}
		go_on(&calls[i]);
		later |= !calls[i].ended;
	}
	return later;
}

/* Some of what has ended, from any place on. */
static ULONG take_some(OVERLAPPED_ENTRY *entries, ULONG room)
{
	size_t start = (size_t)sim_below(CALLS);
	ULONG count = 0;

	if (woken) {
		woken = 0;
		entries[count++] = (OVERLAPPED_ENTRY){ 0 };
	}
	for (size_t i = 0; i < CALLS && count < room; i++) {
		struct call *call = &calls[(start + i) % CALLS];

		if (call->kind == CALL_NONE || !call->ended || sim_one_in(4))
			continue;
		entries[count++] = (OVERLAPPED_ENTRY){ call->key, call->overlapped };
		call->kind = CALL_NONE;
	}
	return count;
}

static bool some_have_ended(void)
{
	for (size_t i = 0; i < CALLS; i++)
		if (calls[i].kind != CALL_NONE && calls[i].ended)
			return true;
	return false;
}

BOOL GetQueuedCompletionStatusEx(HANDLE port, OVERLAPPED_ENTRY *entries, ULONG room, ULONG *count,
	DWORD timeout, BOOL alertable)
{
	uint64_t until = timeout == INFINITE ? UINT64_MAX : sim_now + timeout;

	(void)port, (void)alertable;
	sim_begin_wait();
	for (;;) {
		bool later;

		sim_signal();
		sim_act();
		later = go_on_some();
		*count = take_some(entries, room);
		if (*count) {
			sim_stir();
			return TRUE;
		}
		if (sim_now >= until)
			return fail(WAIT_TIMEOUT);
		if (later || some_have_ended())
			sim_now++;
		else
			sim_pass(until);
	}
}

HANDLE CreateIoCompletionPort(HANDLE file, HANDLE port, ULONG_PTR key, DWORD threads)
{
	(void)threads;
	if (file == INVALID_HANDLE_VALUE)
		return &calls;
	sockets[(mux_fd)file].key = key;
	return port;
}

BOOL PostQueuedCompletionStatus(HANDLE port, DWORD n, ULONG_PTR key, OVERLAPPED *overlapped)
{
	(void)port, (void)n, (void)key, (void)overlapped;
	woken++;
	return TRUE;
}

BOOL CloseHandle(HANDLE port)
{
	(void)port;
	for (size_t i = 0; i < CALLS; i++)
		if (calls[i].kind != CALL_NONE)
			sim_fail("the port is closed, and a call is under way");
	return TRUE;
}

BOOL SetFileCompletionNotificationModes(HANDLE file, unsigned char modes)
{
	sockets[(mux_fd)file].skips = modes & FILE_SKIP_COMPLETION_PORT_ON_SUCCESS;
	return TRUE;
}

BOOL CancelIoEx(HANDLE file, OVERLAPPED *overlapped)
{
	for (size_t i = 0; i < CALLS; i++)
		if (calls[i].kind != CALL_NONE && calls[i].fd == (mux_fd)file &&
			(!overlapped || calls[i].overlapped == overlapped))
			calls[i].cancelled = true;
	return TRUE;
}

/* ---- calls ---- */

int WSAGetLastError(void)
{
	return last_error;
}

DWORD GetLastError(void)
{
	return (DWORD)last_error;
}

int os_windows_error(unsigned long code)
{
	return -(int)code;
}

int os_socket_error(void)
{
	return -last_error;
}

int WSARecv(SOCKET fd, WSABUF *buffers, DWORD count, DWORD *n, DWORD *flags, OVERLAPPED *overlapped,
	void *routine)
{
	(void)count, (void)n, (void)flags, (void)routine;
	if (buffers->len)
		sim_fail("a buffer for what is only waited for");
	return begin((struct call){
		       .kind = CALL_RECEIVE, .overlapped = overlapped, .fd = (mux_fd)fd })
		       ? 0
		       : -1;
}

int WSASendTo(SOCKET fd, WSABUF *buffers, DWORD count, DWORD *n, DWORD flags,
	const struct sockaddr *to, int to_length, OVERLAPPED *overlapped, void *routine)
{
	struct call call = { .kind = CALL_SEND, .overlapped = overlapped, .fd = (mux_fd)fd };

	(void)count, (void)n, (void)flags, (void)routine;
	if (to) {
		call.kind = CALL_SENDTO;
		call.address.length = (socklen_t)to_length;
		memcpy(&call.address.u, to, (size_t)to_length);
	}
	call.data = buffers->buf;
	call.length = buffers->len;
	return begin(call) ? 0 : -1;
}

int WSARecvFrom(SOCKET fd, WSABUF *buffers, DWORD count, DWORD *n, DWORD *flags,
	struct sockaddr *from, socklen_t *from_length, OVERLAPPED *overlapped, void *routine)
{
	struct call call = { .kind = CALL_RECVFROM, .overlapped = overlapped, .fd = (mux_fd)fd };

	(void)count, (void)n, (void)flags, (void)routine;
	call.data = buffers->buf;
	call.length = buffers->len;
	call.from = from;
	call.from_length = from_length;
	return begin(call) ? 0 : -1;
}

static BOOL accept_ex(SOCKET listener, SOCKET accepted, void *addresses, DWORD size, DWORD local,
	DWORD remote, DWORD *n, OVERLAPPED *overlapped)
{
	struct call call = {
		.kind = CALL_ACCEPT, .overlapped = overlapped, .fd = (mux_fd)listener
	};

	(void)addresses, (void)size, (void)local, (void)remote, (void)n;
	call.accepted = (mux_fd)accepted;
	return begin(call);
}

BOOL WSAGetOverlappedResult(SOCKET fd, OVERLAPPED *overlapped, DWORD *n, BOOL wait, DWORD *flags)
{
	(void)fd, (void)wait, (void)flags;
	*n = overlapped->bytes;
	return overlapped->error ? fail(overlapped->error) : TRUE;
}

int WSAIoctl(SOCKET fd, DWORD code, void *in, DWORD in_size, void *out, DWORD out_size, DWORD *n,
	OVERLAPPED *overlapped, void *routine)
{
	LPFN_ACCEPTEX function = ((GUID *)in)->number == 1 ? accept_ex : NULL;

	(void)fd, (void)code, (void)in_size, (void)n, (void)overlapped, (void)routine;
	memcpy(out, &function, out_size);
	return 0;
}

int sim_getsockopt(SOCKET fd, int level, int name, void *value, int *length)
{
	int type = sim_socket((mux_fd)fd)->is_datagram ? SOCK_DGRAM : SOCK_STREAM;
	WSAPROTOCOL_INFOW protocol = { AF_INET, type, 0 };

	(void)level;
	if (sim_one_in(2))
		protocol.dwServiceFlags1 = XP1_IFS_HANDLES;
	if (name == SO_PROTOCOL_INFOW)
		memcpy(value, &protocol, (size_t)*length);
	return 0;
}

int sim_setsockopt(SOCKET fd, int level, int name, const void *value, int length)
{
	(void)level, (void)name, (void)value, (void)length;
	sim_socket((mux_fd)fd);
	return 0;
}

int sim_getpeername(SOCKET fd, struct sockaddr *address, socklen_t *length)
{
	struct os_address peer;

	socket_bound((mux_fd)fd, &peer);
	memcpy(address, &peer.u, peer.length);
	*length = peer.length;
	return 0;
}

/* ---- what no scenario does ---- */

int sim_bind(SOCKET fd, const struct sockaddr *address, int length)
{
	(void)fd, (void)address, (void)length;
	sim_fail("%s is not simulated", __func__);
}

int sim_ioctlsocket(SOCKET fd, long command, unsigned long *argument)
{
	(void)fd, (void)command, (void)argument;
	sim_fail("%s is not simulated", __func__);
}
