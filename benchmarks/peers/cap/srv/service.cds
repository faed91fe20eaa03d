using {peer} from '../db/schema';

service Management @(path: '/beta/deviceManagement') {
  entity domainJoinConnectors as projection on peer.Connectors;
}
