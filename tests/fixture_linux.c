/* SPDX-License-Identifier: MIT
 *
 * A read that stays in a worker until it is let go: its buffer is a page that does not exist, and
 * userfaultfd lets us decide when it does. And a thread that stops at each of its instructions.
 */
#include "fixture.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

void fixture_plug_open(struct fixture *fixture, struct fixture_plug *plug)
{
    struct uffdio_api api = {.api = UFFD_API};
    struct uffdio_register range = {.mode = UFFDIO_REGISTER_MODE_MISSING};

    plug->fault_fd = (int) syscall(SYS_userfaultfd, O_CLOEXEC);
    if (plug->fault_fd < 0)
        cr_skip_test("userfaultfd: %s", strerror(errno));
    cr_assert_eq(ioctl(plug->fault_fd, UFFDIO_API, &api), 0, "%s", strerror(errno));
    plug->page =
        mmap(NULL, FIXTURE_PLUG_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(plug->page, MAP_FAILED);
    range.range.start = (uintptr_t) plug->page;
    range.range.len = FIXTURE_PLUG_SIZE;
    cr_assert_eq(ioctl(plug->fault_fd, UFFDIO_REGISTER, &range), 0, "%s", strerror(errno));
    cr_assert_eq(reop_file_open(fixture->engine, "/dev/zero", REOP_FILE_READ, &plug->file), 0);
}

reop_status fixture_plug_insert(struct fixture_plug *plug, reop_op *op)
{
    madvise(plug->page, FIXTURE_PLUG_SIZE, MADV_DONTNEED);
    return reop_read(op, plug->file, plug->page, FIXTURE_PLUG_SIZE, 0);
}

void fixture_plug_pull(struct fixture_plug *plug)
{
    struct uffdio_zeropage zero = {.range = {(uintptr_t) plug->page, FIXTURE_PLUG_SIZE}};

    ioctl(plug->fault_fd, UFFDIO_ZEROPAGE, &zero);
}

void fixture_plug_close(struct fixture_plug *plug)
{
    cr_assert_eq(reop_file_close(plug->file), 0);
    munmap(plug->page, FIXTURE_PLUG_SIZE);
    close(plug->fault_fd);
}

#if defined(__x86_64__)

#define TRAP_FLAG 0x100 /* of the flags register: a trap after each instruction */

static struct {
    void (*between)(void *argument);
    void *argument;
    bool on;
} step;

static void stepped(int signal_number, siginfo_t *information, void *context)
{
    ucontext_t *thread = context;

    (void) signal_number;
    (void) information;
    if (step.on)
        step.between(step.argument);
    else
        thread->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}

void fixture_step(void (*run)(void *argument), void (*between)(void *argument), void *argument)
{
    struct sigaction action = {.sa_sigaction = stepped, .sa_flags = SA_SIGINFO}, before;

    if (fixture_sanitized())
        cr_skip_test("a sanitizer's own instructions are too many");
    cr_assert_eq(sigaction(SIGTRAP, &action, &before), 0);
    step.between = between;
    step.argument = argument;
    step.on = true;
    /* Past the red zone, where the compiler may keep things. */
    __asm__ volatile("sub $128, %%rsp\n\tpushf\n\torl $0x100, (%%rsp)\n\tpopf\n\tadd $128, %%rsp"
                     :
                     :
                     : "memory", "cc");
    run(argument);
    step.on = false;
    __asm__ volatile("nop" : : : "memory"); /* whose trap clears the flag */
    cr_assert_eq(sigaction(SIGTRAP, &before, NULL), 0);
}

#else

void fixture_step(void (*run)(void *argument), void (*between)(void *argument), void *argument)
{
    (void) run;
    (void) between;
    (void) argument;
    cr_skip_test("no stepping on this processor");
}

#endif
