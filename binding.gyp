{
  "variables": { "sanitize%": "" },
  "targets": [
    {
      "target_name": "devmem_tcp",
      "conditions": [
        ["OS=='linux'", {
          "sources": [
            "src/native/addon.cc",
            "src/native/gather/cuda_engine.cc",
            "src/native/gather/cuda_gather.cc",
            "src/native/gather/cuda_pieces.cc",
            "src/native/gather/cuda_registration.cc",
            "src/native/gather/cuda_waiter.cc",
            "src/native/gather/host_gather.cc",
            "src/native/memory/cuda.cc",
            "src/native/memory/cuda_allocation.cc",
            "src/native/memory/cuda_context.cc",
            "src/native/memory/cuda_driver.cc",
            "src/native/memory/dma_buf.cc",
            "src/native/memory/files.cc",
            "src/native/memory/mapping.cc",
            "src/native/memory/memfd.cc",
            "src/native/memory/memory.cc",
            "src/native/memory/memory_claim.cc",
            "src/native/queue/fragment_ring.cc",
            "src/native/queue/queue_transport.cc",
            "src/native/queue/return_ring.cc",
            "src/native/queue/token_queue.cc",
            "src/native/queue/token_queue_handle.cc",
            "src/native/receive/channel.cc",
            "src/native/receive/cmsg_transport.cc",
            "src/native/receive/copy_arena.cc",
            "src/native/receive/copy_transport.cc",
            "src/native/receive/dropping.cc",
            "src/native/receive/frag_ring.cc",
            "src/native/receive/landing.cc",
            "src/native/receive/layout.cc",
            "src/native/receive/low_water_mark.cc",
            "src/native/receive/polled_channel.cc",
            "src/native/receive/pool.cc",
            "src/native/receive/pool_handle.cc",
            "src/native/receive/receive_buffer.cc",
            "src/native/receive/receiver.cc",
            "src/native/receive/records.cc",
            "src/native/receive/scratch.cc",
            "src/native/receive/token_ranges.cc",
            "src/native/support/before_sleep.cc",
            "src/native/support/closing.cc",
            "src/native/support/env_data.cc",
            "src/native/support/owned_fd.cc",
            "src/native/support/poller.cc",
            "src/native/support/turn.cc",
            "src/native/support/wakeup.cc",
            "src/native/system/ethtool.cc",
            "src/native/system/fd_passing.cc",
            "src/native/system/fd_watcher.cc",
            "src/native/system/file_lock.cc",
            "src/native/system/netlink_monitor.cc",
            "src/native/system/netlink_socket.cc",
            "src/native/system/sockets.cc",
            "src/native/system/unix_sockets.cc",
            "src/native/zcrx/channel.cc",
            "src/native/zcrx/ifq.cc",
            "src/native/zcrx/queue.cc",
            "src/native/zcrx/queue_handle.cc",
            "src/native/zcrx/refill_ring.cc",
            "src/native/zcrx/ring.cc"
          ]
        }, {
          "type": "none"
        }],
        ["sanitize!=''", {
          "cflags_cc": [
            "-fsanitize=<(sanitize)", "-fno-sanitize-recover=all",
            "-fno-omit-frame-pointer", "-g"
          ],
          # Stays mapped when its last thread ends: of what is gone, a leak names no module.
          "ldflags": ["-fsanitize=<(sanitize)", "-Wl,-z,nodelete"]
        }]
      ],
      "dependencies": [
        "<!(node -p \"require('node-addon-api').targets\"):node_addon_api_maybe"
      ],
      "include_dirs": ["src/native"],
      # A worker can be terminated in the midst of a call; what cannot be thrown then
      # must not abort the process.
      "defines": ["NAPI_VERSION=9", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": [
        "-std=c++20", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wnon-virtual-dtor"
      ],
      "configurations": { "Release": { "cflags_cc": ["-O2"] } }
    }
  ]
}
