/** Every mount is read-only, nosuid, nodev and has the kernel check permissions; these are the choices left. */
export interface AttachOptions {
	/** What the mount table shows as mounted; any text. */
	readonly source: string;
	/** Let other users in, as permissions allow; never unless asked, not even for root. */
	readonly allowOther: boolean;
}
