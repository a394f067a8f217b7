import test from 'ava';
import {ALL_FORMATS} from '../../formats/index.ts';
import {applyProfile, profiledSize} from '../../src/profiles/apply.ts';
import {ALL_PROFILES, profileNamed} from '../../src/profiles/index.ts';

const MIB = 1 << 20;

test('every profile names a format that is written, and options that it has', t => {
	for (const {name, format: wanted, requires, prefers} of ALL_PROFILES) {
		const format = ALL_FORMATS.find(candidate => candidate.name === wanted);
		const options = new Map(format?.create?.options.map(option => [option.name, option]));
		t.truthy(format?.create, name);
		for (const [option, value] of Object.entries({...requires, ...prefers})) {
			t.true(options.has(option), `${name}: ${option}`);
			const choices = options.get(option)?.choices;
			if (choices !== undefined) t.true(choices.includes(value as string | number), `${name}: ${option} ${value}`);
		}
	}
});

test('what is not said is as the profile wants it', t => {
	const {to, writer, findings} = applyProfile('hyperv', {target: 'disk.vhdx'});
	t.is(to, 'vhdx');
	t.deepEqual(writer, {subformat: 'dynamic', 'block-size': 32 * MIB, 'physical-sector-size': 4096});
	t.deepEqual(findings, []);
	t.like(applyProfile('azure', {target: 'disk.vhd'}), {to: 'vhd', writer: {subformat: 'fixed'}});
	t.like(applyProfile('qemu', {}), {to: 'raw', writer: {}});
});

test('what is said and does not contradict stays', t => {
	const {writer} = applyProfile('hyperv', {to: 'vhdx', writer: {subformat: 'fixed', 'block-size': MIB}});
	t.deepEqual(writer, {subformat: 'fixed', 'block-size': MIB, 'physical-sector-size': 4096});
	t.like(applyProfile('azure', {writer: {subformat: 'fixed'}}), {writer: {subformat: 'fixed'}});
});

test('a contradiction is refused, and both sides are named', t => {
	const contradiction = {code: 'profile/contradiction', family: 'invalid'};
	const said = (title: string, action: () => unknown) => {
		const error = t.throws(action);
		t.like(error, contradiction);
		t.regex(error?.message ?? '', /--for \w+ and .* contradict each other/, title);
		return error?.message ?? '';
	};
	t.regex(
		said('format', () => applyProfile('azure', {to: 'vhdx'})),
		/--for azure and --to vhdx/,
	);
	t.regex(
		said('option', () => applyProfile('azure', {writer: {subformat: 'dynamic'}})),
		/--for azure and --subformat dynamic/,
	);
	t.regex(
		said('name', () => applyProfile('hyperv', {target: 'disk.raw'})),
		/--for hyperv and the name disk\.raw/,
	);
});

test('a name that says nothing, or whose format was named, is only odd', t => {
	const codes = (given: Parameters<typeof applyProfile>[1]) => applyProfile('hyperv', given).findings.map(f => f.code);
	t.deepEqual(codes({target: 'disk'}), ['profile/extension']);
	t.deepEqual(codes({target: 'disk.raw', to: 'vhdx'}), ['profile/extension']);
	t.deepEqual(codes({target: 'DISK.VHDX'}), []);
});

test('an unknown profile is named with those that there are', t => {
	const error = t.throws(() => profileNamed('vmware'));
	t.like(error, {code: 'profile/unknown', hint: 'profiles are hyperv, azure, wsl, virtualbox, qemu'});
});

test('sizes are rounded up where the profile wants whole units', t => {
	const azure = profileNamed('azure');
	t.is(profiledSize(azure, 20 * MIB), 20 * MIB);
	t.is(profiledSize(azure, 20 * MIB + 1), 21 * MIB);
	t.is(profiledSize(profileNamed('hyperv'), 20 * MIB + 512), 20 * MIB + 512);
});
