"""A linked list of records that one process builds and another follows."""

import multiprocessing
import os

from aioipc import ManagedSharedMemory, OffsetPtr, Struct, int64


class Node(Struct):
    value: int64
    next: OffsetPtr["Node"]


def child(name: str) -> None:
    with ManagedSharedMemory.open(name) as segment:
        node, values = segment.find(Node, "head").next.get(), []
        while node is not None:
            values.append(node.value)
            node = node.next.get()
        print("the child reads", values)


def main() -> None:
    name = f"example-{os.getpid()}"
    with ManagedSharedMemory.create(name, 1 << 20, lifetime="last_detach") as segment:
        head = Node(segment, "head")
        for value in (1, 2, 3):
            head.next = Node(segment, None, value=value, next=head.next)
        process = multiprocessing.Process(target=child, args=(name,))
        process.start()
        process.join()


if __name__ == "__main__":
    main()
