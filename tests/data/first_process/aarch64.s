// The first process of a worker's PID namespace, for AArch64: what webapps/runtime/firstprocess.py has in hexadecimal.
.globl _start
_start:
    sub sp, sp, #128                // 128 bytes of nothing
    stp xzr, xzr, [sp]
    stp xzr, xzr, [sp, #16]
    stp xzr, xzr, [sp, #32]
    stp xzr, xzr, [sp, #48]
    stp xzr, xzr, [sp, #64]
    stp xzr, xzr, [sp, #80]
    stp xzr, xzr, [sp, #96]
    stp xzr, xzr, [sp, #112]
    mov x0, #0                      // read(0, number, 16)
    add x1, sp, #96
    mov x2, #16
    mov x8, #63
    svc #0
    mov x0, #1                      // write(1, number, 16)
    mov x8, #64
    svc #0
    mov x0, #1                      // close(1)
    mov x8, #57
    svc #0
    mov w9, #0x0522                 // capset({_LINUX_CAPABILITY_VERSION_3, 0}, nothing)
    movk w9, #0x2008, lsl #16
    str w9, [sp]
    mov x0, sp
    add x1, sp, #8
    mov x8, #91
    svc #0
    str wzr, [sp]
    mov w9, #43                     // write(0, "+", 1)
    strb w9, [sp, #112]
    mov x0, #0
    add x1, sp, #112
    mov x2, #1
    mov x8, #64
    svc #0
    add x9, sp, #64                 // recvmsg(0, {iov: one byte, control: 24 bytes}, 0)
    mov x10, #1
    stp x9, x10, [sp, #16]
    stp x1, x10, [sp, #64]
    add x9, sp, #80
    mov x11, #24
    stp x9, x11, [sp, #32]
    mov x0, #0
    mov x1, sp
    mov x2, #0
    mov x8, #212
    svc #0
    cmp x0, #1                      // one byte: the descriptor has come as number 1
    b.ne end
    mov x0, #0                      // close(0)
    mov x8, #57
    svc #0
    stp w10, w10, [sp]              // ppoll({1, POLLIN}, 1, for ever, no mask)
    mov x0, sp
    mov x1, #1
    mov x2, #0
    mov x3, #0
    mov x8, #73
    svc #0
end:
    mov x0, #0                      // exit_group(0)
    mov x8, #94
    svc #0
