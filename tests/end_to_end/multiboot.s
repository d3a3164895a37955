# A multiboot kernel that tells on the first serial port what its loader handed over, and stops:
#
#     MB-KERNEL <its command line>
#     MB-MODULE <string of the first module>
#     MB-CONTENT <what was loaded for it, up to its first zero byte>
#     ...
#     MB-END
#
# https://www.gnu.org/software/grub/manual/multiboot/multiboot.html, version 0.6.96.

        .set    FLAGS, 1                # modules begin on page borders
        .text
        .global _start
        .align  4
        .long   0x1BADB002, FLAGS, -(0x1BADB002 + FLAGS)

_start: mov     $stack, %esp
        mov     %ebx, %ebp              # EBX: the loader's information
        mov     $kernel, %esi
        call    text
        mov     16(%ebp), %esi          # its field "cmdline"
        call    text
        mov     20(%ebp), %ecx          # mods_count
        mov     24(%ebp), %edi          # mods_addr; each: start, end, string, reserved
next:   jecxz   done
        mov     $module, %esi
        call    text
        mov     8(%edi), %esi
        call    text
        mov     $content, %esi
        call    text
        mov     (%edi), %esi
        mov     4(%edi), %ebx
        call    until
        add     $16, %edi
        dec     %ecx
        jmp     next
done:   mov     $end, %esi
        call    text
stop:   cli
        hlt
        jmp     stop

text:   or      $-1, %ebx               # print the string at ESI, up to its zero
until:  cmp     %ebx, %esi              # or to the address EBX
        jae     1f
        lodsb
        test    %al, %al
        jz      1f
        call    char
        jmp     until
1:      ret

char:   mov     %al, %ah
        mov     $0x3FD, %dx             # line status of the first serial port (8250)
1:      in      %dx, %al
        test    $0x20, %al              # transmitter empty
        jz      1b
        mov     $0x3F8, %dx
        mov     %ah, %al
        out     %al, %dx
        ret

        .data
kernel: .asciz  "\r\nMB-KERNEL "
module: .asciz  "\r\nMB-MODULE "
content: .asciz "\r\nMB-CONTENT "
end:    .asciz  "\r\nMB-END\r\n"
        .bss
        .skip   4096
stack:
