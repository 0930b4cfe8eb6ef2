{
  'targets': [
    {
      'target_name': 'strowger',
      'sources': [
        'native/src/addon.cc',
        'native/src/arena.cc',
        'native/src/errors.cc',
        'native/src/event_fd.cc',
        'native/src/huge_pages.cc',
        'native/src/receive.cc',
        'native/src/send.cc',
        'native/src/stream_socket.cc',
        'native/src/thread.cc',
        'native/src/udp_socket.cc',
        'native/src/unix_socket.cc',
      ],
      'include_dirs': ["<!(node -p \"require('node-addon-api').include_dir\")"],
      'defines': ['NAPI_VERSION=8', 'NAPI_DISABLE_CPP_EXCEPTIONS'],
      'cflags': ['-Wall', '-Wextra'],
      'cflags!': ['-O3'],
      'cflags_cc!': ['-std=gnu++20', '-std=gnu++17'],
      'cflags_cc': ['-std=c++17', '-O2', '-fno-exceptions', '-fvisibility=hidden'],
    },
  ],
}
