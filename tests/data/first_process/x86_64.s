# The first process of a worker's PID namespace, for x86-64: what webapps/runtime/firstprocess.py has in hexadecimal.
.intel_syntax noprefix
.globl _start
_start:
    sub rsp, 128                    # 128 bytes of nothing
    mov rdi, rsp
    push 16
    pop rcx
    xor eax, eax
    rep stosq
    xor edi, edi                    # read(0, number, 16)
    lea rsi, [rsp+96]
    push 16
    pop rdx
    syscall
    push 1                          # write(1, number, 16)
    pop rdi
    mov eax, edi
    syscall
    push 3                          # close(1)
    pop rax
    syscall
    mov rdi, rsp                    # capset({_LINUX_CAPABILITY_VERSION_3, 0}, nothing)
    mov dword ptr [rdi], 0x20080522
    lea rsi, [rsp+8]
    push 126
    pop rax
    syscall
    and dword ptr [rsp], 0
    lea rsi, [rsp+112]              # write(0, "+", 1)
    mov byte ptr [rsi], 43
    xor edi, edi
    push 1
    pop rdx
    mov eax, edx
    syscall
    lea rax, [rsp+64]               # recvmsg(0, {iov: one byte, control: 24 bytes}, 0)
    mov [rsp+16], rax
    mov [rsp+24], rdx
    mov [rax], rsi
    mov [rax+8], rdx
    lea rax, [rsp+80]
    mov [rsp+32], rax
    mov byte ptr [rsp+40], 24
    mov rsi, rsp
    xor edx, edx
    push 47
    pop rax
    syscall
    dec eax                         # one byte: the descriptor has come as number 1
    jnz end
    push 3                          # close(0)
    pop rax
    syscall
    mov rdi, rsp                    # poll({1, POLLIN}, 1, for ever)
    push 1
    pop rsi
    mov [rdi], esi
    mov [rdi+4], esi
    push -1
    pop rdx
    push 7
    pop rax
    syscall
end:
    xor edi, edi                    # exit_group(0)
    mov eax, 231
    syscall
