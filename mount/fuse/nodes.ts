import type {NodeId} from '../../src/core/file-system.ts';
import {ROOT_ID} from './abi.ts';

/** The wire's id for a file system's own node 1, where that is not its root. */
const NODE_ONE = 2 ** 53 - 1;
/** The wire's id for a file system's own node 0, where that is not its root: 0 means "no such node" on the wire. */
const NODE_ZERO = 2 ** 53 - 2;

export interface NodeMap {
	toWire(node: NodeId): number;
	fromWire(id: number): NodeId;
}

/**
 * Names nodes on the wire, where the root is always 1 and nothing is 0. Every other id stays as it is, so that the
 * inode numbers that people see are the file system's own; only foreign ones and zeros move to the two ids at the end
 * of the range. A tree whose root is 1 and that has no node 0 is not touched at all.
 */
export function nodeMap(root: NodeId): NodeMap {
	return {
		toWire(node) {
			if (node === root) return ROOT_ID;
			if (node === ROOT_ID) return NODE_ONE;
			return node === 0 ? NODE_ZERO : node;
		},
		fromWire(id) {
			if (id === ROOT_ID) return root;
			if (id === NODE_ONE && root !== ROOT_ID) return ROOT_ID;
			return id === NODE_ZERO && root !== 0 ? 0 : id;
		},
	};
}
