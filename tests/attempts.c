/*
 * Loaded before muxcat: at its start, and again at each SIGUSR2, it tries what a confined process must
 * not be able to do, and appends "NAME ERROR" to the file that ATTEMPTS names, and "end". Each would fail
 * or change nothing anyway, so that it can be told from EPERM.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int out;

static void tell(const char *name, long result)
{
	dprintf(out, "%s %s\n", name, result < 0 ? strerrorname_np(errno) : "done");
}

static void open_file(const char *name, const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	tell(name, fd);
	if (fd >= 0)
		close(fd);
}

static void run_programs(void)
{
	char *none[] = { NULL };
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	tell("fork", child);
	if (child > 0)
		waitpid(child, NULL, 0);
	tell("execve", execve("nowhere", none, none));
	tell("execveat", syscall(SYS_execveat, -1, "nowhere", none, none, 0));
	tell("clone3", syscall(SYS_clone3, NULL, 0));
}

static void touch_others(void)
{
	tell("ptrace", ptrace(PTRACE_ATTACH, 0, NULL, NULL));
	tell("process_vm_readv", process_vm_readv(getpid(), NULL, 0, NULL, 0, 0));
	tell("TIOCSTI", ioctl(-1, TIOCSTI, ""));
}

static void change_the_system(void)
{
	struct timex only_read = { .modes = 0 };

	tell("mount", mount("nothing", "nowhere", "tmpfs", 0, NULL));
	tell("umount2", umount2("nowhere", 0));
	tell("chroot", chroot("nowhere"));
	tell("unshare", unshare(0));
	tell("setns", setns(-1, 0));
	tell("personality", personality(0xffffffff));
	tell("adjtimex", adjtimex(&only_read));
}

static void write_files(void)
{
	struct {
		unsigned long long flags, mode, resolve;
	} how = { O_WRONLY, 0, 0 };

	open_file("write", "/dev/null", O_WRONLY);
	open_file("write-and-read", "/dev/null", O_RDWR);
	open_file("create", "created", O_RDONLY | O_CREAT);
	open_file("empty", "/dev/null", O_RDONLY | O_TRUNC);
	tell("openat2", syscall(SYS_openat2, AT_FDCWD, "/dev/null", &how, sizeof(how)));
	tell("mq_open", syscall(SYS_mq_open, "", O_RDONLY | O_CREAT, 0600, NULL));
	tell("truncate", truncate("nowhere", 0));
	tell("rename", rename("nowhere", "there"));
	tell("link", link("nowhere", "there"));
	tell("symlink", symlink("there", "nowhere/there"));
	tell("mkdir", mkdir("nowhere/there", 0700));
	tell("chmod", chmod("nowhere", 0600));
	tell("chown", chown("nowhere", getuid(), getgid()));
}

/* What a confined process still can. */
static void do_what_is_allowed(void)
{
	open_file("read", "/dev/null", O_RDONLY);
	tell("unlink", unlink("nowhere"));
}

static void try_all(int signal)
{
	(void)signal;
	run_programs();
	touch_others();
	change_the_system();
	write_files();
	do_what_is_allowed();
	dprintf(out, "end\n");
}

__attribute__((constructor)) static void start(void)
{
	struct sigaction action = { .sa_handler = try_all, .sa_flags = SA_RESTART };

	out = open(getenv("ATTEMPTS"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	sigaction(SIGUSR2, &action, NULL);
	try_all(0);
}
