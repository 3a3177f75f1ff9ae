/* SPDX-License-Identifier: MIT
 *
 * A read that stays in a worker until it is let go: its buffer is a page that does not exist, and
 * userfaultfd lets us decide when it does.
 */
#include "fixture.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
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
