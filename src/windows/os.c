#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <mstcpip.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *memrchr(const void *memory, int byte, size_t length)
{
	const unsigned char *bytes = memory;

	while (length--)
		if (bytes[length] == (unsigned char)byte)
			return (void *)(bytes + length);
	return NULL;
}

/* ---- errors ---- */

int os_socket_error(void)
{
	return os_windows_error((unsigned long)WSAGetLastError());
}

static int last_error(void)
{
	return os_windows_error(GetLastError());
}

/* ---- sockets ---- */

#ifndef SIO_UDP_CONNRESET /* not in every mswsock.h */
#define SIO_UDP_CONNRESET _WSAIOW(IOC_VENDOR, 12)
#endif

/* A datagram's ICMP errors come back as errors of the socket (SIO_UDP_CONNRESET), or not. */
static void report_unreachable(mux_fd fd, BOOL on)
{
	DWORD unused;

	WSAIoctl(fd, SIO_UDP_CONNRESET, &on, sizeof(on), NULL, 0, &unused, NULL, NULL);
}

static int make_nonblocking(mux_fd fd)
{
	u_long on = 1;

	return ioctlsocket(fd, FIONBIO, &on) < 0 ? os_socket_error() : 0;
}

int os_bind(mux_fd fd, const struct os_address *at, unsigned mode)
{
	(void)mode;
	return bind(fd, &at->u.any, at->length) < 0 ? os_socket_error() : 0;
}

bool os_has_modes(void)
{
	return false;
}

mux_fd os_socket(int family, int type)
{
	SOCKET fd = WSASocketW(
		family, type, 0, NULL, 0, WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
	int error;

	if (fd == INVALID_SOCKET)
		return os_socket_error();
	error = make_nonblocking((mux_fd)fd);
	if (error) {
		closesocket(fd);
		return error;
	}
	if (type == SOCK_DGRAM)
		report_unreachable((mux_fd)fd, FALSE);
	return (mux_fd)fd;
}

int os_look_up(
	const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
	int error = getaddrinfo(host, service, hints, list);

	return error ? os_windows_error((unsigned long)error) : 0;
}

/* ---- moving bytes ---- */

/* A read of nothing is the end of a file, but of a pipe only that somebody wrote nothing to it. */
static bool is_living_pipe(mux_fd fd)
{
	return PeekNamedPipe((HANDLE)fd, NULL, 0, NULL, NULL, NULL);
}

static ssize_t read_file(mux_fd fd, void *into, size_t size)
{
	DWORD n = 0;

	while (ReadFile((HANDLE)fd, into, (DWORD)size, &n, NULL))
		if (n || !is_living_pipe(fd))
			return (ssize_t)n;
	switch (GetLastError()) {
	case ERROR_MORE_DATA: /* of a message that was longer */
		return (ssize_t)n;
	case ERROR_BROKEN_PIPE: /* its last writer has gone */
	case ERROR_HANDLE_EOF:
		return 0;
	default:
		return last_error();
	}
}

static bool has_failed(mux_fd fd)
{
	struct pollfd state = { .fd = (SOCKET)fd, .events = POLLOUT };

	return WSAPoll(&state, 1, 0) == 1 && (state.revents & POLLERR);
}

ssize_t os_read(mux_fd fd, enum os_kind kind, void *into, size_t size)
{
	int n;

	if (kind == OS_BLOCKING && os_is_console(fd))
		return os_console_read(fd, into, size);
	if (kind == OS_BLOCKING || kind == OS_FILE)
		return read_file(fd, into, size);
	n = recv(fd, into, (int)size, 0);
	if (n == 0 && has_failed(fd)) /* Wine: whoever waited for a reset has used it up */
		return -ECONNRESET;
	return n < 0 ? os_socket_error() : n;
}

ssize_t os_write(mux_fd fd, enum os_kind kind, const void *from, size_t length)
{
	DWORD written = 0;
	int n;

	if (kind == OS_BLOCKING && os_is_console(fd))
		return os_console_write(fd, from, length);
	if (kind == OS_BLOCKING || kind == OS_FILE) {
		if (!WriteFile((HANDLE)fd, from, (DWORD)length, &written, NULL))
			return last_error();
		return (ssize_t)written;
	}
	n = send(fd, from, (int)length, 0);
	return n < 0 ? os_socket_error() : n;
}

ssize_t os_map_next(mux_fd fd, struct os_pages *pages, const unsigned char **data)
{
	(void)fd, (void)pages, (void)data;
	return -ENOTSUP;
}

bool os_pages_are_whole(const struct os_pages *pages)
{
	(void)pages;
	return true;
}

void os_unmap(struct os_pages *pages)
{
	(void)pages;
}

void os_enlarge_pipe(mux_fd fd)
{
	(void)fd;
}

ssize_t os_recvfrom(mux_fd fd, void *into, size_t size, struct os_address *from)
{
	int n;

	if (from)
		from->length = sizeof(from->u);
	n = recvfrom(
		fd, into, (int)size, 0, from ? &from->u.any : NULL, from ? &from->length : NULL);
	return n < 0 ? os_socket_error() : n;
}

/* What has happened to a socket (SO_ERROR): 0 or a negative errno. */
static int socket_failure(mux_fd fd)
{
	int error = 0;
	int length = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, (void *)&error, &length) < 0)
		return os_socket_error();
	return error ? os_windows_error((unsigned long)error) : 0;
}

ssize_t os_sendto(mux_fd fd, const void *data, size_t length, const struct os_address *to)
{
	int n = sendto(fd, data, (int)length, 0, to ? &to->u.any : NULL, to ? (int)to->length : 0);
	int refused;

	if (n < 0)
		return os_socket_error();
	/* In Wine neither select nor WSAPoll tells that the peer has refused it; Windows' do */
	refused = to ? 0 : socket_failure(fd);
	return refused ? refused : n;
}

ssize_t os_recv_datagrams(mux_fd fd, struct os_datagram *into, size_t count)
{
	size_t n = 0;

	for (; n < count; n++) {
		into[n].length = os_recvfrom(fd, into[n].data, into[n].size, &into[n].peer);
		if (into[n].length < 0 && into[n].length != -EMSGSIZE)
			return n ? (ssize_t)n : into[n].length;
	}
	return (ssize_t)n;
}

ssize_t os_send_datagrams(mux_fd fd, const struct os_datagram *from, size_t count)
{
	size_t n = 0;

	for (; n < count; n++) {
		ssize_t sent = os_sendto(fd, from[n].data, (size_t)from[n].length, &from[n].peer);

		if (sent < 0)
			return n ? (ssize_t)n : sent;
	}
	return (ssize_t)n;
}

mux_fd os_accept(mux_fd fd, struct os_address *peer)
{
	struct os_address unused;
	struct os_address *from = peer ? peer : &unused;
	SOCKET accepted;

	from->length = sizeof(from->u);
	accepted = accept(fd, &from->u.any, &from->length);
	if (accepted == INVALID_SOCKET) {
		int error = os_socket_error();

		/* Wine: it has been reset before it was accepted */
		return error == -ECONNRESET || error == -ENOTCONN ? -ECONNABORTED : error;
	}
	SetHandleInformation((HANDLE)accepted, HANDLE_FLAG_INHERIT, 0);
	make_nonblocking((mux_fd)accepted);
	return (mux_fd)accepted;
}

int os_connect(mux_fd fd, const struct os_address *to)
{
	int type = 0;
	int length = sizeof(type);

	/* whom it alone talks to may be heard to be missing */
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, (void *)&type, &length) == 0 && type == SOCK_DGRAM)
		report_unreachable(fd, TRUE);
	if (connect(fd, &to->u.any, to->length) == 0)
		return 0;
	return WSAGetLastError() == WSAEWOULDBLOCK ? -EINPROGRESS : os_socket_error();
}

int os_connect_result(mux_fd fd)
{
	return socket_failure(fd);
}

bool os_is_same(mux_fd a, mux_fd b)
{
	return a == b;
}

int os_shutdown_write(mux_fd fd)
{
	return shutdown(fd, SD_SEND) < 0 ? os_socket_error() : 0;
}

void os_keep_asking(mux_fd fd)
{
	struct tcp_keepalive ask = {
		.onoff = 1, .keepalivetime = 30000, .keepaliveinterval = 30000
	};
	DWORD unused;

	WSAIoctl(fd, SIO_KEEPALIVE_VALS, &ask, sizeof(ask), NULL, 0, &unused, NULL, NULL);
}

bool os_peer_is_gone(mux_fd fd)
{
	char byte;

	/* WSAPoll's POLLHUP is no more than the end that it has sent */
	return has_failed(fd) ||
	       (recv(fd, &byte, 1, MSG_PEEK) < 0 && WSAGetLastError() != WSAEWOULDBLOCK);
}

void os_close(mux_fd fd, enum os_kind kind)
{
	if (kind == OS_FILE || kind == OS_BLOCKING)
		CloseHandle((HANDLE)fd);
	else
		closesocket(fd);
}

void os_reset_on_close(mux_fd fd, bool reset)
{
	struct linger none = { .l_onoff = reset, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, (void *)&none, sizeof(none));
}

uint64_t os_now(void)
{
	LARGE_INTEGER ticks;
	LARGE_INTEGER frequency;

	QueryPerformanceCounter(&ticks);
	QueryPerformanceFrequency(&frequency);
	return (uint64_t)(ticks.QuadPart / frequency.QuadPart * 1000 +
			  ticks.QuadPart % frequency.QuadPart * 1000 / frequency.QuadPart);
}

/* ---- a waker: a datagram socket on loopback that talks to itself alone ---- */

int os_waker_open(struct os_waker *waker)
{
	struct sockaddr_in self = { .sin_family = AF_INET };
	int length = sizeof(self);
	mux_fd fd = os_socket(AF_INET, SOCK_DGRAM);

	if (fd < 0)
		return (int)fd;
	self.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&self, sizeof(self)) < 0 ||
		getsockname(fd, (struct sockaddr *)&self, &length) < 0 ||
		connect(fd, (struct sockaddr *)&self, sizeof(self)) < 0) {
		int error = os_socket_error();

		closesocket(fd);
		return error;
	}
	waker->read_end = waker->write_end = fd;
	return 0;
}

void os_waker_close(struct os_waker *waker)
{
	closesocket(waker->read_end);
}

void os_wake(const struct os_waker *waker)
{
	send(waker->write_end, "", 1, 0); /* what does not fit in is not needed: it is awake */
}

/* ---- stdin and stdout ---- */

/* Asked while a thread reads from a pipe, GetConsoleMode would wait for it. */
static bool terminals[3];

void os_start(void)
{
	WSADATA data;

	WSAStartup(MAKEWORD(2, 2), &data);
	_fmode = _O_BINARY;
	for (int number = 0; number < 3; number++) {
		if (_get_osfhandle(number) < 0) {
			int null = _open("NUL", _O_RDONLY);

			_dup2(null, number);
			if (null > 2)
				_close(null);
		}
		_setmode(number, _O_BINARY);
		terminals[number] = os_is_console(_get_osfhandle(number));
	}
	setvbuf(stderr, NULL, _IONBF, 0); /* else a file gets it late */
}

static mux_fd take_over(DWORD which, enum os_kind *kind)
{
	HANDLE standard = GetStdHandle(which);
	HANDLE own;

	if (!DuplicateHandle(GetCurrentProcess(), standard, GetCurrentProcess(), &own, 0, FALSE,
		    DUPLICATE_SAME_ACCESS))
		return last_error();
	*kind = GetFileType(own) == FILE_TYPE_DISK ? OS_FILE : OS_BLOCKING;
	return (mux_fd)own;
}

mux_fd os_stdin(enum os_kind *kind)
{
	return take_over(STD_INPUT_HANDLE, kind);
}

mux_fd os_stdout(enum os_kind *kind)
{
	return take_over(STD_OUTPUT_HANDLE, kind);
}

void os_release_standard(int number)
{
	int null = _open("NUL", _O_RDWR);

	if (null < 0) {
		_close(number);
		return;
	}
	_dup2(null, number);
	_close(null);
}

bool os_is_terminal(int number)
{
	return terminals[number];
}

bool os_has_terminal(void)
{
	HANDLE console = CreateFileA("CONIN$", GENERIC_READ | GENERIC_WRITE,
		FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);

	if (console == INVALID_HANDLE_VALUE)
		return false;
	CloseHandle(console);
	return true;
}

void os_raise_descriptor_limit(void)
{
	/* handles are limited by memory only */
}

/* ---- Ctrl-C, Ctrl-Break, and the console's end: a thread of the system's calls `handle` ---- */

static void (*on_signal)(int);
static SRWLOCK signal_lock =
	SRWLOCK_INIT; /* nobody is called once os_release_signals has returned */
static bool signals_released;

/* Of the first event; the second ends the process at once, as if there were no handler. */
static bool tell_signal(int signal)
{
	bool first;

	AcquireSRWLockExclusive(&signal_lock);
	first = !signals_released;
	signals_released = true;
	if (first)
		on_signal(signal);
	ReleaseSRWLockExclusive(&signal_lock);
	return first;
}

static BOOL WINAPI handle(DWORD event)
{
	int signal = event == CTRL_C_EVENT ? SIGINT : SIGTERM;

	if (!tell_signal(event == CTRL_BREAK_EVENT ? SIGBREAK : signal))
		os_die_by(signal);
	if (event != CTRL_C_EVENT && event != CTRL_BREAK_EVENT)
		Sleep(INFINITE); /* the process ends when this returns (HandlerRoutine, Win32) */
	return TRUE;
}

void os_catch_signals(void (*caught)(int))
{
	on_signal = caught;
	SetConsoleCtrlHandler(handle, TRUE);
}

void os_release_signals(void)
{
	AcquireSRWLockExclusive(&signal_lock);
	signals_released = true;
	ReleaseSRWLockExclusive(&signal_lock);
}

/* The call ends this process before it returns, which the compiler does not know. */
_Noreturn static void end_process(UINT status)
{
	fflush(NULL);
	for (;;)
		TerminateProcess(GetCurrentProcess(), status);
}

void os_exit(int status)
{
	end_process((UINT)status);
}

void os_exit_at_once(int status)
{
	end_process((UINT)status);
}

void os_die_by(int signal)
{
	(void)signal;
	end_process(STATUS_CONTROL_C_EXIT);
}

bool os_pipe_kills(void)
{
	return false;
}

void os_die_by_pipe(void)
{
	end_process(EXIT_FAILURE);
}

int os_confine(enum os_confinement confinement)
{
	(void)confinement;
	return 0;
}

/* ---- files ---- */

bool os_replace_file(const char *from, const char *to)
{
	if (MoveFileExA(from, to, MOVEFILE_REPLACE_EXISTING))
		return true;
	errno = -last_error();
	return false;
}

bool os_identify_socket_file(const char *path, uint64_t *device, uint64_t *inode)
{
	BY_HANDLE_FILE_INFORMATION about;
	FILE_ATTRIBUTE_TAG_INFO tag;
	HANDLE file = CreateFileA(path, 0, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
		NULL, OPEN_EXISTING, FILE_FLAG_OPEN_REPARSE_POINT | FILE_FLAG_BACKUP_SEMANTICS,
		NULL);
	bool known;

	if (file == INVALID_HANDLE_VALUE)
		return false;
	known = GetFileInformationByHandleEx(file, FileAttributeTagInfo, &tag, sizeof(tag)) &&
		tag.ReparseTag == IO_REPARSE_TAG_AF_UNIX &&
		GetFileInformationByHandle(file, &about);
	CloseHandle(file);
	if (!known)
		return false;
	*device = about.dwVolumeSerialNumber;
	*inode = (uint64_t)about.nFileIndexHigh << 32 | about.nFileIndexLow;
	return true;
}
