import type {Finding} from '../core/disk.ts';
import type {Image, Volume} from '../image/image.ts';

/** Findings that mean more to a machine that is to boot the disk than to somebody who reads it. */
const CONSEQUENCES: Readonly<Record<string, string>> = {
	'gpt/hybrid-mbr': 'firmware and systems differ in which of the two tables they follow',
	'gpt/backup-not-at-end': 'some systems call such a table damaged, and tools that repair it move its backup',
	'gpt/backup-missing': 'some systems call such a table damaged',
	'vhdx/log-replayed':
		'what it holds is what the disk would hold after a crash: the copy is whole, but a machine still running would go on to change it',
};

/** The same findings, as warnings where they are hazards. */
export function explainFindings(findings: readonly Finding[]): Finding[] {
	return findings.map(finding => {
		const consequence = CONSEQUENCES[finding.code];
		if (consequence === undefined) return finding;
		const severity = finding.severity === 'note' ? 'warning' : finding.severity;
		return {...finding, severity, message: `${finding.message}; ${consequence}`};
	});
}

/** What the file systems of a disk have that is copied with it and can surprise: dirt, damage, encryption. */
export function sourceHazards({volumes}: Pick<Image, 'volumes'>): Finding[] {
	return volumes.flatMap(volume => [...ownFindings(volume), ...errorFinding(volume)]);
}

function ownFindings({number, findings}: Volume): Finding[] {
	return findings
		.filter(({severity}) => severity !== 'note')
		.map(({code, severity, message}) => ({code, severity, message: `volume ${number}: ${message}`}));
}

const BITLOCKER = 'BitLocker';

function errorFinding({number, error}: Volume): Finding[] {
	if (error === undefined) return [];
	const {code, family, message} = error;
	if (code === 'volume/encrypted') {
		const consequence = message.includes(BITLOCKER)
			? 'it is copied as it is, and in another machine Windows asks for the recovery key'
			: 'it is copied as it is, free space included';
		return [{code: 'profile/encrypted', severity: 'warning', message: `volume ${number}: ${message}; ${consequence}`}];
	}
	if (family === 'unsupported') return [];
	return [{code, severity: 'damage', message: `volume ${number}: ${message}; it is copied as it is`}];
}
