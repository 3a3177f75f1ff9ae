// SPDX-License-Identifier: MIT
//
// Boost.Asio: random_access_file::async_write_some_at() on io_uring (BOOST_ASIO_HAS_IO_URING,
// BOOST_ASIO_DISABLE_EPOLL), one io_context per thread with concurrency hint 1.

#include "peer.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/random_access_file.hpp>

#include <cstdlib>
#include <memory>

namespace asio = boost::asio;

namespace
{

struct Loop {
    explicit Loop(const job *of)
        : job_(of), context(1), file(context, peer_open_file(of)), buffers(peer_buffers(of))
    {
    }

    void queue_block(std::uint32_t index)
    {
        std::int64_t start_ns = job_->timed ? peer_now_ns() : 0;

        left--;
        file.async_write_some_at(
            job_next(job_, &at),
            asio::buffer(buffers + std::size_t{index} * job_->block_size, job_->block_size),
            [this, index, start_ns](const boost::system::error_code &error, std::size_t size) {
                if (error || size != job_->block_size)
                    peer_fail("write", error.value());
                if (job_->timed)
                    peer_record(peer_now_ns() - start_ns);
                if (left > 0)
                    queue_block(index);
            });
    }

    void run(std::uint64_t op_count)
    {
        left = op_count;
        for (std::uint32_t i = 0; i < job_->depth && left > 0; i++)
            queue_block(i);
        context.restart();
        context.run(); // until nothing is in flight
    }

    ~Loop()
    {
        std::free(buffers);
    }

    const job *job_;
    asio::io_context context;
    asio::random_access_file file;
    unsigned char *buffers;
    std::uint64_t at = 0;
    std::uint64_t left = 0; // to be submitted
};

} // namespace

extern "C" {

extern const char peer_modes[];
const char peer_modes[] = " ";

void peer_prepare(const job *)
{
}

void *peer_open(const job *job, std::uint32_t)
{
    return new Loop(job);
}

void peer_run(void *state, std::uint64_t op_count)
{
    static_cast<Loop *>(state)->run(op_count);
}

void peer_close(void *state)
{
    delete static_cast<Loop *>(state);
}

void peer_finish()
{
}
}
