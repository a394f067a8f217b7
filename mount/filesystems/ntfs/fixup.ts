/** Offset and count of the update sequence array stand at the same place in FILE records and INDX blocks. */
const OFFSET_AT = 4;
const COUNT_AT = 6;
/** Before this the structures keep their own fields. */
const OFFSET_MIN = 40;
const STRIDE_MIN = 256;

/**
 * Puts back the last two bytes of every sector ("Fix-up values"). Returns false and leaves the bytes alone when a
 * sector does not carry the update sequence number: it was written at another time than the others.
 */
export function applyFixups(view: DataView, at: number, size: number): boolean {
	const offset = view.getUint16(at + OFFSET_AT, true);
	const sectors = view.getUint16(at + COUNT_AT, true) - 1;
	if (sectors < 1 || offset < OFFSET_MIN || offset % 2 !== 0) return false;
	const stride = size / sectors;
	if (!Number.isInteger(stride) || stride < STRIDE_MIN || stride % 2 !== 0) return false;
	const array = at + offset;
	// The array itself must not reach into the bytes that it protects.
	if (offset + 2 + sectors * 2 > stride - 2) return false;
	const number = view.getUint16(array, true);
	for (let sector = 1; sector <= sectors; sector++) {
		if (view.getUint16(at + sector * stride - 2, true) !== number) return false;
	}
	for (let sector = 1; sector <= sectors; sector++) {
		view.setUint16(at + sector * stride - 2, view.getUint16(array + sector * 2, true), true);
	}
	return true;
}
