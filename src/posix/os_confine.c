/*
 * What the process gives up for good (seccomp(2)): whoever takes it over by a bug cannot make it do
 * what it never does. A list of what is forbidden, answered with EPERM, rather than of what is allowed:
 * getaddrinfo and OpenSSL load and call what the system's configuration says.
 */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>

#if defined __x86_64__
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#if defined ARCHITECTURE && !defined OS_UNCONFINED

/* The numbers from here on are the same everywhere, and no C library depends on these calls yet. */
enum { LINUX_5_1 = 424 };

/* Steps of a filter, each of which ends it or passes on. */
#define DENY BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define NEVER(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), DENY

/* A call that is denied for some of its arguments, by their lower half: what follows is another call's. */
#define NEVER_IF(call, argument, is, value, hit, miss)                                             \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 4), LOAD(args[argument]),               \
		BPF_JUMP(BPF_JMP | (is) | BPF_K, value, hit, miss), DENY, ALLOW
#define NEVER_AS(call, argument, value) NEVER_IF(call, argument, BPF_JEQ, value, 0, 1)
#define NEVER_WITH(call, argument, bits) NEVER_IF(call, argument, BPF_JSET, bits, 0, 1)
#define NEVER_WITHOUT(call, argument, bits) NEVER_IF(call, argument, BPF_JSET, bits, 1, 0)

/* The calls of another architecture that this kernel knows, too, are nobody's here. */
#define BEGIN LOAD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0), DENY, LOAD(nr)

/*
 * io_uring, which no filter sees into; openat2 and clone3, whose flags it cannot read; and whatever is
 * added to the kernel after this list. They seem to be missing, so that the C library does without.
 */
#define MISSING_SINCE(number)                                                                      \
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, number, 0, 1),                                         \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS)

static const struct sock_filter programs[] = {
	BEGIN,
	MISSING_SINCE(LINUX_5_1),
	/* other programs, and other processes */
	NEVER(execve),
	NEVER(execveat),
#ifdef SYS_fork
	NEVER(fork),
	NEVER(vfork),
#endif
	NEVER_WITHOUT(clone, 0, CLONE_THREAD),
	NEVER(ptrace),
	NEVER(process_vm_readv),
	NEVER(process_vm_writev),
	NEVER(kcmp),
	NEVER_AS(ioctl, 1, TIOCSTI), /* to type for whoever is at the terminal */
	/* the system, where the user may */
	NEVER(mount),
	NEVER(umount2),
	NEVER(pivot_root),
	NEVER(chroot),
	NEVER(setns),
	NEVER(unshare),
	NEVER(open_by_handle_at),
	NEVER(bpf),
	NEVER(perf_event_open),
	NEVER(userfaultfd),
	NEVER(add_key),
	NEVER(request_key),
	NEVER(keyctl),
	NEVER(init_module),
	NEVER(finit_module),
	NEVER(delete_module),
	NEVER(kexec_load),
	NEVER(kexec_file_load),
	NEVER(reboot),
	NEVER(swapon),
	NEVER(swapoff),
	NEVER(settimeofday),
	NEVER(clock_settime),
	NEVER(adjtimex),
	NEVER(clock_adjtime),
	NEVER(sethostname),
	NEVER(setdomainname),
	NEVER(acct),
	NEVER(quotactl),
	NEVER(personality),
#ifdef __x86_64__
	NEVER(iopl),
	NEVER(ioperm),
	NEVER(modify_ldt),
#endif
	ALLOW,
};

static const struct sock_filter files[] = {
	BEGIN,
	NEVER_WITH(openat, 2, O_ACCMODE | O_CREAT | O_TRUNC),
	NEVER_WITH(mq_open, 1, O_ACCMODE | O_CREAT),
	NEVER(truncate),
	NEVER(renameat),
	NEVER(renameat2),
	NEVER(linkat),
	NEVER(symlinkat),
	NEVER(mkdirat),
	NEVER(mknodat),
	NEVER(fchmod),
	NEVER(fchmodat),
	NEVER(fchown),
	NEVER(fchownat),
	NEVER(setxattr),
	NEVER(lsetxattr),
	NEVER(fsetxattr),
	NEVER(removexattr),
	NEVER(lremovexattr),
	NEVER(fremovexattr),
#ifdef SYS_open
	NEVER_WITH(open, 1, O_ACCMODE | O_CREAT | O_TRUNC),
	NEVER(creat),
	NEVER(rename),
	NEVER(link),
	NEVER(symlink),
	NEVER(mkdir),
	NEVER(mknod),
	NEVER(chmod),
	NEVER(chown),
	NEVER(lchown),
#endif
	ALLOW,
};

/*
 * SPEC_ALLOW: before Linux 5.16 a filter would else bring costly mitigations with it, meant for those
 * who run a stranger's code.
 */
int os_confine(enum os_confinement confinement)
{
	const struct sock_filter *steps = confinement == OS_NO_PROGRAMS ? programs : files;
	size_t size = confinement == OS_NO_PROGRAMS ? sizeof(programs) : sizeof(files);
	struct sock_fprog filter = {
		.len = (unsigned short)(size / sizeof(*steps)),
		.filter = (struct sock_filter *)steps,
	};
	long failed = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW, &filter);

	return failed > 0 ? -EBUSY : failed < 0 ? -errno : 0;
}

#else

int os_confine(enum os_confinement confinement)
{
	(void)confinement;
	return -ENOTSUP;
}

#endif
